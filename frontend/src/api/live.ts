// How often pages ask by themselves: hardly ever while changes are told, else often while something moves.
import { told } from "./changes";

const AT_REST = new Set([
  "draft", "valid", "invalid", "published",
  "ready", "refused", "failed", "deleted", "done",
  "live", "stopped", "sleeping",
  "succeeded", "cancelled", "paused",
]);

/** What a run is in while it can be ended, and while it can be paused. */
const CANCELLABLE = new Set(["queued", "running", "pausing", "paused"]);
const PAUSABLE = new Set(["queued", "running"]);
export const cancellable = (phase: string) => CANCELLABLE.has(phase);
export const pausable = (phase: string) => PAUSABLE.has(phase);

export const atRest = (phase: string) => AT_REST.has(phase);

function phases(data: unknown): string[] {
  if (typeof data !== "object" || data === null) return [];
  if ("data" in data && Array.isArray(data.data)) return data.data.flatMap(phases);
  return "phase" in data && typeof data.phase === "string" ? [data.phase] : [];
}

/** Milliseconds until a question is asked again that would be asked every `often` without being told. */
export const pace = (often: number): number => (told() ? 60_000 : often);

/** For `refetchInterval` of a query whose answer is a thing with a phase, or a page of such things. */
export function live(query: { state: { data: unknown } }): number {
  return pace(phases(query.state.data).every(atRest) ? 15_000 : 2_500);
}
