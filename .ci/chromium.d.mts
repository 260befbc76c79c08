export function findChromium(): string | undefined;
export function chromiumFlags(lane: { webgpu: boolean }): string[];
