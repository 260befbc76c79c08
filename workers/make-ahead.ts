/**
 * Reading, quantizing and writing overlap: while one recipe's parts are written, the next ones are being made. Which
 * come next is known from the plan; how many are under way is limited by count and by bytes of weights.
 */

export interface Lanes {
  /** Recipes made at once, the one that is waited for included. */
  count: number;
  /** Bytes of weights under way at most; a single recipe may be larger. */
  bytes: number;
}

type Make<Recipe, Parts> = (recipe: Recipe, signal: AbortSignal) => Promise<Parts>;

/**
 * @param order The recipes in the order they will be asked for, each once.
 * @param size Bytes of weights a recipe reads.
 * @returns The same as `make`, for recipes of `order`; others are simply made.
 */
export function makeAhead<Recipe, Parts>(order: readonly Recipe[], size: (recipe: Recipe) => number, make: Make<Recipe, Parts>, lanes: Lanes): Make<Recipe, Parts> {
  const place = new Map(order.map((recipe, index) => [recipe, index]));
  const started = new Map<Recipe, Promise<Parts>>();
  const start = (recipe: Recipe, signal: AbortSignal): Promise<Parts> => {
    const known = started.get(recipe);
    if (known) return known;
    const making = make(recipe, signal);
    // Whoever asks for it hears of its failure; nobody may ask, after another one has failed.
    making.catch(() => undefined);
    started.set(recipe, making);
    return making;
  };
  return async (recipe, signal) => {
    const making = start(recipe, signal);
    let bytes = size(recipe);
    const at = place.get(recipe) ?? order.length;
    for (const next of order.slice(at + 1, at + lanes.count)) {
      bytes += size(next);
      if (bytes > lanes.bytes) break;
      void start(next, signal).catch(() => undefined);
    }
    try {
      return await making;
    } finally {
      started.delete(recipe);
    }
  };
}
