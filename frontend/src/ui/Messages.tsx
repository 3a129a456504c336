// One row of a dataset, or an exchange with a model, as people read it; all of it stays text.
import { words } from "./words";

export type Turn = { role: string; text: string };

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
const turn = (value: unknown): Turn[] =>
  typeof value === "object" && value !== null && "role" in value && "content" in value
    ? [{ role: text(value.role), text: text(value.content) }]
    : [{ role: "", text: text(value) }];

/** The turns of a row in canonical form: a conversation, a preference, a ranking or plain text. */
export function turnsOf(row: unknown): Turn[] {
  if (typeof row !== "object" || row === null) return [{ role: "", text: text(row) }];
  return Object.entries(row).flatMap(([key, value]): Turn[] => {
    // OpenAI's pair: a question, the answer that is preferred, and the other one.
    if (key === "input") return turnsOf(value);
    if (key === "preferred_output" || key === "non_preferred_output") {
      const role = key === "preferred_output" ? "chosen" : "rejected";
      return Array.isArray(value) ? value.flatMap(turn).map((each) => ({ role, text: each.text })) : [];
    }
    if (key === "messages" || key === "prompt") return Array.isArray(value) ? value.flatMap(turn) : [{ role: key, text: text(value) }];
    if (["chosen", "rejected", "responses", "completion"].includes(key)) {
      const given: unknown[] = Array.isArray(value) ? value : [value];
      return given.flatMap(turn).map((each) => ({ role: key, text: each.text }));
    }
    return key === "text" ? [{ role: "", text: text(value) }] : [];
  });
}

export function Messages({ turns }: { turns: Turn[] }) {
  const t = words.use();
  const role = (name: string) =>
    name === "user" || name === "assistant" || name === "system" || name === "chosen" || name === "rejected" ? t(`role.${name}`) : name;
  return (
    <div className="bubbles">
      {turns.map((each, index) => (
        <div key={index}>
          {each.role !== "" && <div className="bubble-role">{role(each.role)}</div>}
          <div className="bubble" data-role={each.role}>
            {each.text}
          </div>
        </div>
      ))}
    </div>
  );
}
