/** Fetched only where something is stored. */
export const loadShelf = () => import('./shelf.tsx');
