/** Where earlier results are listed: nothing at all until there is something stored. */
import { lazy, Suspense } from 'react';
import { Boundary } from '../../ui/problems/boundary.tsx';
import { useWorkbench } from '../../store/use-workbench.ts';
import { loadHistoryList } from './load-history-list.ts';

const Shelf = lazy(async () => ({ default: (await loadHistoryList()).HistoryList }));

export function HistorySection() {
  const any = useWorkbench((state) => state.stored.length > 0 || (state.storage?.used ?? 0) > 0);
  if (!any) return null;
  return (
    <Boundary what="Earlier results">
      <Suspense fallback={null}>
        <Shelf />
      </Suspense>
    </Boundary>
  );
}
