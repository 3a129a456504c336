// Paging by cursor, kept in the URL: a reload or a shared link shows the same page.
import { useLocation, useNavigate, useSearchParams } from "react-router";

export type Pager = {
  cursor: string | undefined;
  /** Goes to the page after this one. */
  next: (cursor: string) => void;
  /** Goes back one page, or to the first one where the way here is not known. */
  previous: () => void;
  isFirst: boolean;
};

type Trail = { pagesBehind?: number } | null;

export function usePager(): Pager {
  const [search, setSearch] = useSearchParams();
  const navigate = useNavigate();
  const behind = (useLocation().state as Trail)?.pagesBehind ?? 0;
  const cursor = search.get("cursor") ?? undefined;
  const go = (to: string | null, pagesBehind: number) =>
    setSearch(
      (now) => {
        if (to === null) now.delete("cursor");
        else now.set("cursor", to);
        return now;
      },
      { state: { pagesBehind } },
    );
  return {
    cursor,
    next: (to) => go(to, behind + 1),
    previous: () => (behind > 0 ? void navigate(-1) : go(null, 0)),
    isFirst: cursor === undefined,
  };
}

/** A filter kept in the URL; setting it starts again from the first page. */
export function useFilter(name: string): [string | undefined, (value: string | undefined) => void] {
  const [search, setSearch] = useSearchParams();
  const set = (value: string | undefined) =>
    setSearch(
      (now) => {
        if (value === undefined || value === "") now.delete(name);
        else now.set(name, value);
        now.delete("cursor");
        return now;
      },
      { replace: true },
    );
  return [search.get(name) ?? undefined, set];
}
