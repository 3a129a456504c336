// Queries of what is in the first load, by the plain client: the generated queries of all pages are one module, fetched with the first page that needs them.
import { queryOptions } from "@tanstack/react-query";

/** A query named like the generated one, so that changes are heard for it as well. */
export const reading = <Data>(id: string, given: object, ask: (signal: AbortSignal) => Promise<{ data: Data }>) =>
  queryOptions({ queryKey: [{ _id: id, ...given }], queryFn: async ({ signal }) => (await ask(signal)).data });
