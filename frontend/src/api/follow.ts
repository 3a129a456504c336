// Reads a growing list to its end and goes on while it grows; what was read once is not asked for again.
import { type QueryKey, useQuery } from "@tanstack/react-query";
import { queries } from "./client";
import { pace } from "./live";

export type Line = { at?: string; level?: string; text: string };
type Page = { data: Line[]; next_cursor: string; more: boolean; live: boolean };
export type Followed = { lines: Line[]; cursor: string | undefined; live: boolean };

// A page of the console keeps this many lines; the whole log is there by API and CLI.
const MOST = 20_000;

/** Lines of a log so far; asks again while more may be written. */
export function useLog(key: QueryKey, page: (cursor: string | undefined) => Promise<Page>, often: () => number = () => pace(1_500)) {
  return useQuery({
    queryKey: key,
    queryFn: async (): Promise<Followed> => {
      const before = queries.getQueryData<Followed>(key);
      let { lines, cursor } = before ?? { lines: [], cursor: undefined };
      for (;;) {
        const next = await page(cursor);
        lines = [...lines, ...next.data].slice(-MOST);
        cursor = next.next_cursor;
        if (!next.more) return { lines, cursor, live: next.live };
      }
    },
    refetchInterval: (query) => (query.state.data?.live === false ? false : often()),
  });
}
