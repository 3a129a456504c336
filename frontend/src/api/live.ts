// Live updates: asks again while something moves, seldom while all is at rest, never in a hidden tab.
const AT_REST = new Set([
  "draft", "valid", "invalid", "published",
  "ready", "refused", "failed", "deleted", "done",
  "live", "stopped",
  "succeeded", "cancelled",
]);

export const atRest = (phase: string) => AT_REST.has(phase);

function phases(data: unknown): string[] {
  if (typeof data !== "object" || data === null) return [];
  if ("data" in data && Array.isArray(data.data)) return data.data.flatMap(phases);
  return "phase" in data && typeof data.phase === "string" ? [data.phase] : [];
}

/** For `refetchInterval` of a query whose answer is a thing with a phase, or a page of such things. */
export function live(query: { state: { data: unknown } }): number {
  return phases(query.state.data).every(atRest) ? 15_000 : 1_500;
}
