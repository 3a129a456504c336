// Uploads under way: they outlive the page they were started on, and are told to any page that asks.
import { useSyncExternalStore } from "react";
import { queries } from "./client";
import {
  datasetVersionsUploadCreate,
  datasetVersionsUploadFinishCreate,
  modelsUploadsCreate,
  modelsUploadsFinishCreate,
  modelsUploadsPartsRetrieve,
} from "./generated/sdk.gen";
import { type Refusal, refusalOf } from "./refusal";
import { sendParts } from "./upload";

export type Upload = { name: string; sent: number; total: number; refusal: Refusal | null; cancel: () => void };

let all: ReadonlyMap<string, Upload> = new Map();
const listeners = new Set<() => void>();

function note(id: string, change: Upload | null): void {
  const next = new Map(all);
  if (change === null) next.delete(id);
  else next.set(id, change);
  all = next;
  for (const each of listeners) each();
}

window.addEventListener("beforeunload", (event) => {
  if ([...all.values()].some((each) => each.refusal === null)) event.preventDefault();
});

/** The upload with this id, while it runs or after it failed. */
export function useUpload(id: string): Upload | undefined {
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return useSyncExternalStore(subscribe, () => all.get(id));
}

async function track<T>(id: string, file: File, work: (onProgress: (bytes: number) => void, signal: AbortSignal) => Promise<T>) {
  const stop = new AbortController();
  const base = { name: file.name, total: file.size, refusal: null, cancel: () => (stop.abort(), note(id, null)) };
  let arrived = 0;
  note(id, { ...base, sent: 0 });
  try {
    const done = await work((sent) => stop.signal.aborted || note(id, { ...base, sent: (arrived = sent) }), stop.signal);
    note(id, null);
    await queries.invalidateQueries();
    return done;
  } catch (error) {
    if (!stop.signal.aborted) note(id, { ...base, sent: arrived, refusal: refusalOf(error) });
    throw error;
  }
}

/** Fills a draft version of a dataset; asked again with the same file it goes on where it broke off. */
export function uploadDataset(versionId: string, file: File): Promise<unknown> {
  const path = { version_id: versionId };
  return track(versionId, file, async (onProgress, signal) => {
    const { data } = await datasetVersionsUploadCreate({ path, body: { size_bytes: file.size, filename: file.name }, throwOnError: true });
    const urls = new Map(data.parts.map((part) => [part.number, part.url]));
    const parts = data.parts.map((part) => ({ ...part, sizeBytes: part.size_bytes }));
    await sendParts(file, parts, (part) => Promise.resolve(urls.get(part.number) ?? ""), onProgress, signal);
    await datasetVersionsUploadFinishCreate({ path, throwOnError: true });
  });
}

/** Sends an archive of a model; resolves to the id that an import takes it by. */
export function uploadModel(id: string, file: File): Promise<string> {
  return track(id, file, async (onProgress, signal) => {
    const { data } = await modelsUploadsCreate({ body: { size_bytes: file.size, filename: file.name }, throwOnError: true });
    const parts = Array.from({ length: data.parts }, (_, index) => ({
      number: index + 1,
      start: index * data.part_bytes,
      sizeBytes: Math.min(data.part_bytes, file.size - index * data.part_bytes),
      received: false,
    }));
    const address = async (part: { number: number }) => {
      const answer = await modelsUploadsPartsRetrieve({ path: { upload_id: data.id, number: part.number }, throwOnError: true });
      return answer.data.address;
    };
    await sendParts(file, parts, address, onProgress, signal);
    await modelsUploadsFinishCreate({ path: { upload_id: data.id }, throwOnError: true });
    return data.id;
  });
}
