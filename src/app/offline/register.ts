/** Starts the service worker of a built page; without one the page works, but not offline. */
export function keepForOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  // After the page is there: what it precaches must not compete with the first load.
  addEventListener('load', () => {
    void navigator.serviceWorker.register('./service-worker.js').catch(() => undefined);
  });
}
