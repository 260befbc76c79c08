/** GPU buffers that are kept and used again, in rooms of which each is lent to one piece of work at a time. */
import pLimit from 'p-limit';

export interface BufferSet {
  /** How many buffers were made here so far. */
  readonly made: number;
  /** The buffer of that name, made larger if need be. Each name has one usage. */
  buffer(name: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer;
}

export interface BufferSets {
  /**
   * Lends a set to `work` until that settles, in the order of the calls. Of several free sets the one used last is lent, so
   * that work which needs one set fills no other.
   */
  use<T>(work: (room: BufferSet) => Promise<T>): Promise<T>;
  /** Destroys all buffers: of rooms that are free at once, of the others when they are given back. */
  empty(): void;
  /** Destroys all buffers, also those that are being used; those made after are destroyed when their room is given back. */
  destroy(): void;
}

interface KeptRoom extends BufferSet {
  clear(): void;
  /** Before which `empty` its buffers were made. */
  age: number;
}

export function createBufferSets(device: GPUDevice, count: number): BufferSets {
  const all = Array.from({ length: count }, () => createRoom(device));
  const free = [...all];
  const limit = pLimit(count);
  let age = 0;
  let destroyed = false;

  return {
    use: (work) =>
      limit(async () => {
        const room = free.pop()!;
        try {
          return await work(room);
        } finally {
          if (destroyed || room.age < age) {
            room.clear();
            room.age = age;
          }
          free.push(room);
        }
      }),
    empty() {
      age++;
      for (const room of free) {
        room.clear();
        room.age = age;
      }
    },
    destroy() {
      destroyed = true;
      for (const room of all) room.clear();
    },
  };
}

function createRoom(device: GPUDevice): KeptRoom {
  const buffers = new Map<string, GPUBuffer>();
  let made = 0;
  return {
    age: 0,
    get made() {
      return made;
    },
    buffer(name, bytes, usage) {
      const kept = buffers.get(name);
      if (kept && kept.size >= bytes) return kept;
      // What was submitted still uses it to the end.
      kept?.destroy();
      const larger = device.createBuffer({ label: name, size: Math.ceil(bytes / 16) * 16, usage });
      made++;
      buffers.set(name, larger);
      return larger;
    },
    clear() {
      for (const kept of buffers.values()) kept.destroy();
      buffers.clear();
    },
  };
}
