// Hears from the platform what has changed and reads that anew; where the line is down, pages ask by themselves.
import type { Query } from "@tanstack/react-query";
import { listeners, ownHeaders, queries } from "./client";
import { payloads } from "./sse";

type Change = { kind: string; id: string };
type Told = { changes: Change[]; all: boolean };

/** Names of queries begin with a word for what they read; which word, by what changed. */
const FAMILIES: Record<string, string[]> = {
  "datasets.version": ["dataset", "overview"],
  "datasets.export": ["datasetVersions", "datasetExports"],
  "datasets.leakcheck": ["datasetVersions", "datasetLeaks"],
  "registry.modelversion": ["model", "overview"],
  "registry.export": ["modelVersions", "modelExports"],
  "training.trainingjob": ["jobs", "curves", "overview"],
  "evaluation.evaluationrun": ["evals", "overview"],
  "deployments.deployment": ["deployments", "overview"],
  "deployments.revision": ["deployments", "overview"],
};
/** Whose queries name the very thing that changed, so that those of others need not be asked again. */
const NAMED: Record<string, string> = { "training.trainingjob": "job_id", "evaluation.evaluationrun": "run_id", "deployments.deployment": "deployment_id" };

const camel = (word: string) => word.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

type Keyed = { _id?: string; path?: Record<string, unknown> };

/** Whether what a query read may be another since the change. */
export function concerns(key: readonly unknown[], change: Change): boolean {
  const [first, second] = key as [Keyed | string | undefined, unknown];
  const name = typeof first === "string" ? first : (first?._id ?? "");
  const families = FAMILIES[change.kind] ?? [camel(change.kind)];
  if (!families.some((each) => name.startsWith(each))) return false;
  const field = NAMED[change.kind];
  const named = typeof first === "string" ? second : field === undefined ? undefined : first?.path?.[field];
  return field === undefined || named === undefined || named === change.id;
}

let line: "up" | "down" = "down";
/** Whether changes are told at once; then asking is only there to make sure. */
export const told = () => line === "up";

async function readAnew({ changes, all }: Told): Promise<void> {
  if (!all && changes.length === 0) return;
  await queries.invalidateQueries({ predicate: (query: Query) => all || changes.some((each) => concerns(query.queryKey, each)) });
}

/** One stream until it ends. Throws where it cannot be opened or breaks. */
async function hear(signal: AbortSignal): Promise<void> {
  const response = await fetch("/api/v1/changes", { signal, headers: { ...ownHeaders("GET"), accept: "text/event-stream" } });
  if (response.status === 401) listeners.sessionEnded();
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const read = payloads(buffer + value);
    buffer = read.rest;
    for (const payload of read.done) {
      // What changed while nobody listened was missed.
      if (line === "down") await readAnew({ changes: [], all: missed });
      line = "up";
      missed = false;
      await readAnew(JSON.parse(payload) as Told);
    }
  }
}

let missed = false;
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

/** Listens while the page can be seen, and tries again when the line breaks; returns how to stop. */
export function listen(): () => void {
  let stop = new AbortController();
  const run = async (signal: AbortSignal) => {
    let wait = FIRST_WAIT;
    while (!signal.aborted) {
      try {
        await hear(signal);
        wait = FIRST_WAIT;
      } catch {
        line = "down";
        missed = true;
        await new Promise((resolve) => setTimeout(resolve, wait));
        wait = Math.min(wait * 2, LONGEST_WAIT);
      }
    }
  };
  // A browser opens six connections to a host at most: tabs that nobody sees keep none.
  const seen = () => {
    stop.abort();
    if (document.hidden) {
      line = "down";
      missed = true;
      return;
    }
    stop = new AbortController();
    void run(stop.signal);
  };
  document.addEventListener("visibilitychange", seen);
  seen();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    stop.abort();
    line = "down";
  };
}
