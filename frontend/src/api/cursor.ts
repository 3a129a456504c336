// Paging by cursor, kept in the URL: a reload or a shared link shows the same page.
import { useLocation, useNavigate, useSearchParams } from "react-router";
import { type Refusal, refusalOf } from "./refusal";

/** What every list is sorted by, and what those are sorted by whose rows have a name; the first is where nothing is asked. */
export const BY_AGE = ["-created", "created"] as const;
export const BY_NAME = [...BY_AGE, "name", "-name"] as const;

export type Pager<Order extends string = string> = {
  cursor: string | undefined;
  order: Order | undefined;
  /** Sorts otherwise, from the first page. */
  sort: (order: string) => void;
  /** Goes to the page after this one. */
  next: (cursor: string) => void;
  /** Goes back one page, or to the first one where the way here is not known. */
  previous: () => void;
  isFirst: boolean;
};

type Trail = { pagesBehind?: number } | null;

export function usePager<const Order extends string = (typeof BY_AGE)[number]>(orders?: readonly Order[]): Pager<Order> {
  const [search, setSearch] = useSearchParams();
  const navigate = useNavigate();
  const behind = (useLocation().state as Trail)?.pagesBehind ?? 0;
  const cursor = search.get("cursor") ?? undefined;
  const [order, sort] = useFilter("order");
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
    order: ((orders ?? BY_AGE) as readonly Order[]).find((each) => each === order),
    sort,
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

type Found<Row> = { data: { data: Row[]; next_cursor?: string | null } | undefined; error: unknown; refetch: () => unknown };

type Listed<Row> = { rows: Row[] | undefined; refusal: Refusal | null; onRetry: () => void };

/** What a table needs to know of the query of its list, and of the page it is at where there are several; to be spread into it. */
export function listed<Row>(found: Found<Row>): Listed<Row>;
export function listed<Row>(found: Found<Row>, pager: Pager): Listed<Row> & { pager: Pager; nextCursor: string | null | undefined };
export function listed<Row>(found: Found<Row>, pager?: Pager): Listed<Row> & { pager?: Pager; nextCursor?: string | null | undefined } {
  return {
    rows: found.data?.data,
    refusal: found.error === null ? null : refusalOf(found.error),
    onRetry: () => void found.refetch(),
    ...(pager !== undefined && { pager, nextCursor: found.data?.next_cursor }),
  };
}
