// Rows of a version by their place in the list: all of them at random, those of a group one after another.
import { useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { useEffect } from "react";
import { datasetVersionsRowsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { datasetVersionsRowsRetrieve, trainingTokenLengthsRows } from "@/api/generated/sdk.gen";
import type { DatasetRowOut } from "@/api/generated/types.gen";

const PAGE = 100;

/** Which pages of so many rows hold what is in sight. */
export function pagesInSight([from, to]: [number, number], total: number): number[] {
  const first = Math.floor(from / PAGE);
  const last = Math.floor(Math.max(from, Math.min(to, total) - 1) / PAGE);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Which rows: of a group, of so many characters, with or without a label, or of so many tokens of a model; all of them where it is empty. */
export type RowFilter = { group?: string; at_least?: number; at_most?: number; labelled?: boolean } | { base: string; at_least: number; at_most: number };
/** What the address keeps of the lengths that were asked for. */
export const LENGTHS = ["at_least", "at_most", "tokens_at_least", "tokens_at_most"] as const;

/** The filter that the address asks for. */
export function filterOf(search: URLSearchParams): RowFilter {
  const [group, base] = [search.get("group"), search.get("base")];
  const [at_least, at_most, fewest, most] = LENGTHS.map((each) => (search.has(each) ? Number(search.get(each)) : undefined));
  if (base !== null && fewest !== undefined && most !== undefined) return { base, at_least: fewest, at_most: most };
  return { ...(group !== null && { group }), ...(at_least !== undefined && { at_least }), ...(at_most !== undefined && { at_most }) };
}

type Found = { at: (index: number) => DatasetRowOut | undefined; error: Error | null; total: number };

export function useRows(versionId: string, filter: RowFilter, seen: [number, number], total: number): Found {
  const path = { version_id: versionId };
  const filtered = Object.keys(filter).length > 0;
  const pages = !filtered ? pagesInSight(seen, total) : [];
  const fetched = useQueries({
    queries: pages.map((page) => ({
      ...datasetVersionsRowsRetrieveOptions({ path, query: { cursor: String(page * PAGE), limit: PAGE } }),
      staleTime: Infinity,
    })),
  });
  const { data, error, hasNextPage, isFetching, fetchNextPage } = useInfiniteQuery({
    queryKey: ["rows that fit", versionId, filter],
    queryFn: async ({ pageParam, signal }) => {
      const page = { cursor: pageParam, limit: PAGE };
      if ("base" in filter) return (await trainingTokenLengthsRows({ query: { dataset: versionId, ...page, ...filter }, signal, throwOnError: true })).data;
      return (await datasetVersionsRowsRetrieve({ path, query: { ...page, ...filter }, signal, throwOnError: true })).data;
    },
    initialPageParam: "0",
    getNextPageParam: (page) => page.next_cursor,
    enabled: filtered,
    staleTime: Infinity,
  });
  const ofGroup = data?.pages.flatMap((page) => page.data) ?? [];
  const wanting = filtered && hasNextPage && !isFetching && ofGroup.length < Math.min(seen[1] + 1, total);
  useEffect(() => {
    if (wanting) void fetchNextPage();
  }, [wanting, fetchNextPage]);
  // How many fit is known once all of them are here.
  if (filtered && "base" in filter) return { at: (index) => ofGroup[index], error, total: data?.pages[0]?.rows ?? 0 };
  if (filtered) return { at: (index) => ofGroup[index], error, total: hasNextPage ? Math.min(total, ofGroup.length + PAGE) : ofGroup.length };
  return {
    at: (index) => fetched[Math.floor(index / PAGE) - (pages[0] ?? 0)]?.data?.data[index % PAGE],
    error: fetched.find((each) => each.error !== null)?.error ?? null,
    total,
  };
}
