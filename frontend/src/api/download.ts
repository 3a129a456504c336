// Fetches a file as the signed-in person, in the project chosen here, and hands it to the browser to keep.
import { ownHeaders } from "./client";
import { refusalOf } from "./refusal";

export async function download(path: string, name: string): Promise<void> {
  const response = await fetch(path, { headers: ownHeaders("GET"), credentials: "same-origin" });
  if (!response.ok) throw refusalOf(await response.json().catch(() => null), response);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
