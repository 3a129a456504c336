// What a label does to a row: another answer, a thumb, or the other of two answers preferred.
import type { DatasetEditRowIn } from "@/api/generated/types.gen";

export type Row = Record<string, unknown>;
type Message = { role?: unknown; content?: unknown };
export type Thumb = "good" | "bad";

const messages = (value: unknown): Message[] => (Array.isArray(value) ? (value as Message[]) : []);

/** Whether two answers stand in the row, one preferred to the other. */
export const isPair = (row: Row) => "preferred_output" in row && "non_preferred_output" in row;

/** The last answer of a chat, or the text of a plain one; null where nobody has answered yet. */
export function answerOf(row: Row): string | null {
  if (isPair(row)) return contentOf(messages(row.preferred_output).at(-1));
  if ("text" in row && !("messages" in row)) return typeof row.text === "string" ? row.text : "";
  const last = messages(row.messages).at(-1);
  if (last?.role === "assistant") return contentOf(last);
  return typeof row.reference_answer === "string" ? row.reference_answer : null;
}

const contentOf = (message: Message | undefined) => (typeof message?.content === "string" ? message.content : "");

/** The row with another answer, marked as labelled by hand. */
export function answered(row: Row, answer: string): Row {
  const label = { label: "edited" };
  if (isPair(row)) {
    const all = messages(row.preferred_output);
    return { ...row, preferred_output: [...all.slice(0, -1), { ...all.at(-1), content: answer }], ...label };
  }
  if ("text" in row && !("messages" in row)) return { ...row, text: answer, ...label };
  const all = messages(row.messages);
  // A question for reinforcement stays one: its answer is what graders compare with.
  if (all.at(-1)?.role !== "assistant") return { ...row, reference_answer: answer, ...label };
  return { ...row, messages: [...all.slice(0, -1), { ...all.at(-1), content: answer }], ...label };
}

/** Several answers to one question that wait to be ranked: the row's own list `answers`. */
export const answersOf = (row: Row): string[] =>
  Array.isArray(row.answers) && row.answers.length > 1 && row.answers.every((each) => typeof each === "string") ? row.answers : [];

/** The row with its answers in this order, best first; the best becomes its answer. */
export function ranked(row: Row, order: number[]): Row {
  const all = answersOf(row);
  const answers = order.map((place) => all[place] ?? "");
  const asked = messages(row.messages);
  const before = asked.at(-1)?.role === "assistant" ? asked.slice(0, -1) : asked;
  return { ...row, messages: [...before, { role: "assistant", content: answers[0] }], answers, label: "ranked" };
}

export const thumbed = (row: Row, thumb: Thumb): Row => ({ ...row, label: thumb });

/** The pair with the other answer preferred. */
export const swapped = (row: Row): Row => ({
  ...row,
  preferred_output: row.non_preferred_output,
  non_preferred_output: row.preferred_output,
  label: "ranked",
});

/** What was done to rows by number (null: removed), as the platform takes it. */
export const editsOf = (done: Record<number, Row | null>): DatasetEditRowIn[] =>
  Object.entries(done).map(([row, value]) => ({ row: Number(row), text: value === null ? null : JSON.stringify(value) }));
