// Brings labelled rows into a dataset: a new one, or a new version of one that is there, behind its rows.
import {
  datasetsCreate,
  datasetsList,
  datasetsVersionsCreate,
  datasetsVersionsList,
  datasetVersionsRowsRetrieve,
} from "@/api/generated/sdk.gen";
import { uploadDataset } from "@/api/uploads";

export type Labelled = { messages: { role: "system" | "user" | "assistant"; content: string }[] };
export type Appended = { dataset: string; version: string };
export const MOST_JOINED = 5_000;

export class TooLong extends Error {
  readonly rows: number;
  constructor(rows: number) {
    super("too long");
    this.rows = rows;
  }
}

export const jsonl = (rows: unknown[]) => rows.map((each) => `${JSON.stringify(each)}\n`).join("");

/** Rows of the newest published version of the dataset, in their order; none if nothing is published. */
async function published(datasetId: string): Promise<unknown[]> {
  const versions = await datasetsVersionsList({ path: { dataset_id: datasetId }, query: { limit: 100 }, throwOnError: true });
  const newest = versions.data.data.filter((each) => each.phase === "published").sort((a, b) => b.number - a.number)[0];
  if (newest === undefined) return [];
  if (newest.rows > MOST_JOINED) throw new TooLong(newest.rows);
  const rows: unknown[] = [];
  let cursor: string | null | undefined;
  do {
    const query = { limit: 500, ...(typeof cursor === "string" && { cursor }) };
    const page = await datasetVersionsRowsRetrieve({ path: { version_id: newest.id }, query, throwOnError: true });
    rows.push(...page.data.data.map((each) => each.row));
    cursor = page.data.next_cursor;
  } while (cursor !== null);
  return rows;
}

/** Makes a draft version of the dataset called `name` that ends with `added`; the dataset is made if there is none. */
export async function append(name: string, added: Labelled[], note: string): Promise<Appended> {
  const found = await datasetsList({ query: { name }, throwOnError: true });
  const dataset = found.data.data[0] ?? (await datasetsCreate({ body: { name }, throwOnError: true })).data;
  const rows = [...(await published(dataset.id)), ...added];
  const made = await datasetsVersionsCreate({ path: { dataset_id: dataset.id }, body: { format: "openai", note }, throwOnError: true });
  await uploadDataset(made.data.id, new File([jsonl(rows)], `${name}.jsonl`, { type: "application/jsonl" }));
  return { dataset: dataset.id, version: made.data.id };
}
