/** Fetched only where something is stored. */
export const loadHistoryList = () => import('./history-list.tsx');
