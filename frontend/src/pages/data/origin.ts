// Where the rows of a version came from, told in the page's words.
import type { words } from "./words";

type Say = ReturnType<typeof words.use>;
/** As the platform keeps it: what happened, of which version, and what its own kind adds. */
type Source = { kind?: string; part?: string; of_label?: string; filename?: string; path?: string; url?: string };

export function originOf(source: unknown, t: Say): string {
  const { kind, part, of_label: of = "", filename = "", path = "", url = "" } = (source ?? {}) as Source;
  if (kind === "split") return t(part === "held_out" ? "from.held_out" : "from.train", { of });
  if (kind === "corrected") return t("from.corrected", { of });
  if (kind === "edited") return t("from.edited", { of });
  return filename || path || url;
}
