// Curves of a training job: all points once, then only those of the steps since.
import { keepPreviousData, useQueries } from "@tanstack/react-query";
import { queries } from "./client";
import { jobsMetricsRetrieve } from "./generated/sdk.gen";
import { atRest, pace } from "./live";

export type Point = [step: number, value: number];
export type Curves = Record<string, Point[]>;
export type RunToDraw = { id: string; name: string; phase: string; attempt: number };

/** Puts later points behind earlier ones; a step that was told again has its later value. */
export function joined(before: Curves, points: { name: string; step: number; value: number | null }[]): Curves {
  const all: Curves = { ...before };
  const fresh = new Map<string, Map<number, number>>();
  for (const { name, step, value } of points) {
    if (value === null) continue;
    const steps = fresh.get(name) ?? new Map<number, number>();
    fresh.set(name, steps.set(step, value));
  }
  for (const [name, steps] of fresh) {
    const kept = (all[name] ?? []).filter(([step]) => !steps.has(step));
    all[name] = [...kept, ...steps].sort((a, b) => a[0] - b[0]);
  }
  return all;
}

// No chart has more room; of a longer curve lows and highs come.
const MOST = 4_000;

const lastStep = (curves: Curves) => Math.max(0, ...Object.values(curves).map((points) => points.at(-1)?.[0] ?? 0));

/** The curves of several runs; those that run are read on as they grow. */
export function useCurves(runs: RunToDraw[]) {
  return useQueries({
    queries: runs.map((run) => {
      const queryKey = ["curves", run.id, run.attempt, atRest(run.phase)];
      return {
        queryKey,
        queryFn: async (): Promise<Curves> => {
          const before = queries.getQueryData<Curves>(queryKey) ?? {};
          const path = { job_id: run.id };
          const { data } = await jobsMetricsRetrieve({ path, query: { from_step: lastStep(before), most: MOST }, throwOnError: true });
          return joined(before, data.data);
        },
        placeholderData: keepPreviousData,
        refetchInterval: () => (atRest(run.phase) ? (false as const) : pace(2_500)),
      };
    }),
  });
}
