// Sends a file in parts to signed addresses, three at a time, each tried again when the line breaks.
import { refusalOf } from "./refusal";

export type Part = { number: number; start: number; sizeBytes: number; received: boolean };
const AT_ONCE = 3;
const TRIES = 4;

/** The folder store answers on this very origin, by whatever name the browser calls it. */
export function local(address: string): string {
  const url = new URL(address, location.href);
  return url.pathname.startsWith("/storage/") ? url.pathname + url.search : address;
}

function put(address: string, bytes: Blob, onSent: (count: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // fetch() tells nothing of how far an upload is.
    const request = new XMLHttpRequest();
    request.open("PUT", local(address));
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onload = () => {
      if (request.status < 300) resolve();
      else reject(refusalOf(request.responseText, new Response(null, { status: request.status })));
    };
    request.onerror = () => reject(refusalOf(new Error("the upload broke off")));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(bytes);
  });
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends the parts that were not received yet; `onProgress` hears how many bytes are there in all. */
export async function sendParts(
  file: Blob,
  parts: Part[],
  address: (part: Part) => Promise<string>,
  onProgress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const sent = new Map(parts.map((part) => [part.number, part.received ? part.sizeBytes : 0]));
  const tell = () => onProgress([...sent.values()].reduce((sum, each) => sum + each, 0));
  const queue = parts.filter((part) => !part.received);
  tell();
  const worker = async () => {
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
      const { number, start, sizeBytes } = part;
      for (let attempt = 1; ; attempt += 1) {
        try {
          const bytes = file.slice(start, start + sizeBytes);
          await put(await address(part), bytes, (count) => (sent.set(number, count), tell()), signal);
          break;
        } catch (error) {
          const { status } = refusalOf(error);
          if (signal.aborted || attempt === TRIES || (status >= 400 && status < 500)) throw error;
          await wait(attempt * 800);
        }
      }
      sent.set(number, sizeBytes);
      tell();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
