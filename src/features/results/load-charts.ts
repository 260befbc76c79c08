/** The chart library is a third of the page's code: fetched once there is a model, drawn once there are results. */
export const loadCharts = () => import('../charts/charts.tsx');

/** What lies in the tabs below. */
export const loadViews = () => import('./views.tsx');
export const warmCharts = async (): Promise<void> => {
  (await import('../charts/warm-up.tsx')).warmUp();
};
