// Two versions side by side: everything that is known of either, flat, and whether it is the same.
export type Line = { name: string; one: string; other: string; same: boolean };

const text = (value: unknown): string => (value === null || value === undefined || value === "" ? "–" : typeof value === "string" ? value : JSON.stringify(value));

/** Nested objects as `a.b`; lists and plain values as they are. */
export function flat(value: unknown, before = ""): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return before === "" ? {} : { [before]: value };
  return Object.assign({}, ...Object.entries(value).map(([key, each]) => flat(each, before === "" ? key : `${before}.${key}`))) as Record<string, unknown>;
}

/** One line a name, those that differ first, otherwise in the order given. */
export function sideBySide(one: Record<string, unknown>, other: Record<string, unknown>): Line[] {
  const lines = [...new Set([...Object.keys(one), ...Object.keys(other)])].map((name) => {
    const [a, b] = [text(one[name]), text(other[name])];
    return { name, one: a, other: b, same: a === b };
  });
  return [...lines.filter((each) => !each.same), ...lines.filter((each) => each.same)];
}
