// Which versions stand in the plaza: of each model that was brought in, the newest.
import type { ModelVersionOut } from "@/api/generated/types.gen";

type Version = Pick<ModelVersionOut, "model" | "number" | "kind" | "job_id" | "capabilities">;

export const capabilitiesOf = ({ capabilities }: Pick<Version, "capabilities">): string[] =>
  Array.isArray(capabilities) ? capabilities.filter((each): each is string => typeof each === "string") : [];

/** Whole models that no job of this platform made, one version a model, by name. */
export function newestBases<V extends Version>(versions: V[]): V[] {
  const newest = new Map<string, V>();
  for (const each of versions) {
    if (each.kind !== "full" || each.job_id !== null) continue;
    const known = newest.get(each.model);
    if (known === undefined || known.number < each.number) newest.set(each.model, each);
  }
  return [...newest.values()].sort((a, b) => a.model.localeCompare(b.model));
}
