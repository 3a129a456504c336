import { expect, test } from "vitest";
import { answered, answerOf, answersOf, editsOf, isPair, ranked, swapped, thumbed } from "./labels";

const chat = { messages: [{ role: "user", content: "q" }, { role: "assistant", content: "a", weight: 1 }], group: "g" };
const question = { messages: [{ role: "user", content: "6 × 7" }] };
const pair = {
  input: { messages: [{ role: "user", content: "q" }] },
  preferred_output: [{ role: "assistant", content: "good" }],
  non_preferred_output: [{ role: "assistant", content: "bad" }],
};

test("another answer changes the last turn alone and says that a person gave it", () => {
  expect(answerOf(chat)).toBe("a");
  expect(answered(chat, "b")).toEqual({
    messages: [{ role: "user", content: "q" }, { role: "assistant", content: "b", weight: 1 }],
    group: "g",
    label: "edited",
  });
  expect(chat.messages[1]?.content).toBe("a");
});

test("a question that nobody answered gets a reference answer", () => {
  expect(answerOf(question)).toBeNull();
  expect(answered(question, "42")).toEqual({ ...question, reference_answer: "42", label: "edited" });
});

test("the other answer of a pair is preferred, and back again", () => {
  expect(isPair(pair)).toBe(true);
  expect(answerOf(swapped(pair))).toBe("bad");
  expect(swapped(swapped(pair))).toEqual({ ...pair, label: "ranked" });
  expect(answerOf(answered(pair, "better"))).toBe("better");
});

test("what was done goes out row by row, a removed one as null", () => {
  expect(editsOf({ 3: thumbed(question, "good"), 5: null })).toEqual([
    { row: 3, text: JSON.stringify({ ...question, label: "good" }) },
    { row: 5, text: null },
  ]);
});

test("ranking puts the answers in order and the best one last in the chat", () => {
  const row = { messages: [{ role: "user", content: "q" }], answers: ["a", "b", "c"], group: "g" };
  expect(answersOf(row)).toEqual(["a", "b", "c"]);
  const done = ranked(row, [2, 0, 1]);
  expect(done).toEqual({ messages: [{ role: "user", content: "q" }, { role: "assistant", content: "c" }], answers: ["c", "a", "b"], group: "g", label: "ranked" });
  expect(ranked(done, [1, 0, 2]).messages).toEqual([{ role: "user", content: "q" }, { role: "assistant", content: "a" }]);
});

test("what is no list of several texts is not ranked", () => {
  expect(answersOf({ answers: ["one"] })).toEqual([]);
  expect(answersOf({ answers: ["one", 2] })).toEqual([]);
  expect(answersOf({ answers: "ab" })).toEqual([]);
});
