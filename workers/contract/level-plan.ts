/** What a level will write, known before any weight is read, and the ledger that explains it. */
import { z } from 'zod';
import type { EngineError } from './errors.ts';
import type { LevelSettings } from './settings.ts';

/** Lines of a ledger: one for each initializer and each `Constant` node, wherever it is, with what became of it and why. */
export const ledgerSchema = z.array(
  z.object({
    tensor: z.string(),
    /** The body of control flow or the local function it is in; absent in the main graph. */
    where: z.string().exactOptional(),
    shape: z.array(z.number()),
    /** Element type before, e.g. `float16`. */
    from: z.string(),
    /** Element type or scheme after, e.g. `int4`, `float16`. */
    to: z.string(),
    bytesBefore: z.number(),
    bytesAfter: z.number(),
    reason: z.string(),
  }),
);

/** What became of one weight and why. */
export type LedgerLine = z.infer<typeof ledgerSchema>[number];

/** What a pattern of `exclude` or `override` applies to. */
export const patternUseSchema = z.object({
  setting: z.enum(['exclude', 'override']),
  pattern: z.string(),
  /** Weights it matches, by their own name or that of a node that uses them. */
  matched: z.number(),
  /** Where it matches none: names of weights and nodes that are most like it, the most alike first. */
  nearest: z.array(z.string()),
});

/** What a pattern of `exclude` or `override` applies to. */
export type PatternUse = z.infer<typeof patternUseSchema>;

/** The second file of a model too large for one: its larger weights. */
export const dataFileSchema = z.object({
  file: z.string(),
  bytes: z.number(),
  /** Hexadecimal; only where it was computed while writing. */
  sha256: z.string().exactOptional(),
});

/** The second file of a model too large for one: its larger weights. */
export type DataFile = z.infer<typeof dataFileSchema>;

/** Where a written model is to run; `both` is WASM and WebGPU in the browser. */
export type Target = 'wasm' | 'webgpu' | 'both' | 'cpu' | 'cuda' | 'transformers.js';

/** A constant that a level's file holds in more than one form, because its uses need different ones. */
export interface StoredTwice {
  tensor: string;
  /** As in `LedgerLine`. */
  where?: string;
  /** Each form with its element type, and the bytes it would take alone; the original comes first where it stays. */
  forms: { type: string; bytes: number }[];
  /** Of all forms together. */
  bytes: number;
  /** What the file would save with the smallest form alone. */
  extra: number;
}

/** The same level with other settings for its token embedding. */
export interface LevelAlternative {
  /** All settings of the level, to be used in place of the present ones. */
  settings: LevelSettings;
  bytes: number;
  /** What constants stored twice cost there; 0 where none is. */
  storedTwiceBytes: number;
}

/** What a level will write, known exactly before any weight is read. */
export interface LevelPlan {
  key: string;
  /** Name it is saved under. */
  file?: string;
  /** Of all that is written. */
  bytes: number;
  /** What of it goes to a second file; absent where one is enough. */
  data?: DataFile;
  weightBytes: number;
  /** Bytes written that are no weights: nodes, names, metadata, padding. With the ledger's they are all of it. */
  graphBytes?: number;
  quantizedTensors: number;
  /** One sentence, in words with numbers. */
  summary: string;
  /** What the level's patterns apply to; absent where it has none. */
  patterns?: PatternUse[];
  ledger: LedgerLine[];
  /** Targets that do not run it as they should, and why. */
  notOn?: { target: Target; reason: string }[];
  /** Bytes of the model's files as they were dropped, external data included. Absent for variants, as the next three. */
  sourceBytes?: number;
  /** Bytes of the fp16 baseline of the same model. */
  baselineBytes?: number;
  /** Constants stored twice, and what the file would save if each were stored once; absent where there are none. */
  storedTwice?: { tensors: StoredTwice[]; bytes: number };
  /** The same level with the token embedding quantized, at 8 bits, or kept for its product too; the smallest first. Absent where there is nothing to choose. */
  alternatives?: LevelAlternative[];
  /** Key of an earlier level whose file would be the same but for its metadata. */
  sameFileAs?: string;
  /** Set when the level cannot be made of this model. */
  problem: EngineError | null;
}
