// A key for asking models from this page: good for nothing else, one hour long, kept in memory alone.
import { keysCreate, keysDestroy } from "./generated/sdk.gen";
import { ownHeaders } from "./client";

type Kept = { id: string; secret: string; until: number };
const HOUR = 3_600_000;
const MARGIN = 120_000;
let kept: Promise<Kept> | null = null;

async function make(): Promise<Kept> {
  const until = Date.now() + HOUR;
  const name = `console-${crypto.randomUUID().slice(0, 8)}`;
  const { data } = await keysCreate({ body: { name, scopes: { inference: "operate" }, expires_at: new Date(until).toISOString() }, throwOnError: true });
  return { id: data.id, secret: data.secret, until };
}

/** The secret of a key that lives for at least two minutes yet; a Refusal where the person may make none. */
export async function chatKey(): Promise<string> {
  kept ??= make();
  try {
    let key = await kept;
    if (key.until - Date.now() < MARGIN) {
      void keysDestroy({ path: { key_id: key.id } });
      kept = make();
      key = await kept;
    }
    return key.secret;
  } catch (error) {
    kept = null;
    throw error;
  }
}

/** After a 401: the key was revoked elsewhere, so the next question asks for a new one. */
export function forgetChatKey(): void {
  kept = null;
}

// Whoever leaves takes the key along: nothing of it outlives the page but its row in the list of keys.
window.addEventListener("pagehide", () => {
  const leaving = kept;
  kept = null;
  void leaving?.then(({ id }) => fetch(`/api/v1/keys/${id}`, { method: "DELETE", keepalive: true, headers: ownHeaders("DELETE") }));
});
