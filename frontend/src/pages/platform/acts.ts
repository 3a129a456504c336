// What an entry of the audit log says in words: the act, the name of what it was done to, and where that is.
import type { EntryOut } from "@/api/generated/types.gen";
import { actWords } from "./actWords";

const WHERE: Record<string, string> = {
  datasets: "/data/",
  "dataset-versions": "/data/-/versions/",
  models: "/models/",
  "model-versions": "/models/-/versions/",
  jobs: "/training/",
  evals: "/evaluation/",
  deployments: "/deployments/",
};

export type Act = { /** Words: what was done, and to what kind of thing; all of it in `done` where both are one. */ done: string; kind: string };

const known = (key: string) => key in actWords.languages.en;
const fixed = (action: string) => {
  const [method = "", route = ""] = action.split(" ");
  return { method, path: route.replace(/^api\/v1\//, "").split("/").filter((each) => !each.startsWith("<")) };
};

/** Keys of `actWords` for an action as the log has it (`POST api/v1/jobs/<uuid:job_id>/cancel`); null where there are none. */
export function actOf(action: string): Act | null {
  const { method, path } = fixed(action);
  const [kind = "", ...rest] = path;
  const whole = `${method} ${path.join("/")}`;
  if (known(whole)) return { done: whole, kind: "" };
  const done = [`${method} ${["*", ...rest].join("/")}`, ["*", ...rest].join("/")].find(known);
  return done !== undefined && known(kind) ? { done, kind } : null;
}

/** The action where there are no words for it, without what only programs read. */
export const plain = (action: string) => action.replace(/<\w+:(\w+)>|<(\w+)>/g, "…");

const nameIn = (value: unknown) => {
  const name = typeof value === "object" && value !== null && "name" in value ? value.name : undefined;
  return typeof name === "string" && name !== "" ? name : undefined;
};

/** The name that the thing has or had, as far as the entry tells. */
export const nameOf = ({ after, before, asked }: Pick<EntryOut, "after" | "before" | "asked">) => nameIn(after) ?? nameIn(before) ?? nameIn(asked);

/** The page of the thing, where it has one and was not removed. */
export function pageOf({ action, object }: Pick<EntryOut, "action" | "object">): string | undefined {
  const { method, path } = fixed(action);
  const kind = path[0] ?? "";
  const gone = method === "DELETE" && path.length === 1;
  // What it was done to; behind it, what was made of it.
  const [id = ""] = object.split(" ");
  return gone || WHERE[kind] === undefined || !/^[0-9a-f-]{36}$/.test(id) ? undefined : WHERE[kind] + id;
}
