// Reads one thing for editing, with the tag of the state that was seen; and finds out who changed it meanwhile.
import { auditRetrieve } from "./generated/sdk.gen";

export type Seen<Thing> = { thing: Thing; tag: string };

/** The thing as it is now, and the tag that a change of it must name. */
export async function seen<Thing>(answer: Promise<{ data: Thing; response: Response }>): Promise<Seen<Thing>> {
  const { data, response } = await answer;
  return { thing: data, tag: response.headers.get("etag") ?? "" };
}

/** Header of a change: upon which state it was made. */
export const upon = (tag: string) => ({ "If-Match": tag });

/** Who changed a thing last, and when, as far as one may look at the audit log. */
export async function changedBy(id: string): Promise<{ actor: string; at: string } | null> {
  const { data } = await auditRetrieve({ query: { object: id, limit: 5 }, throwOnError: true });
  const last = data.data.find((each) => each.outcome === "done");
  return last === undefined ? null : { actor: last.actor, at: last.at };
}
