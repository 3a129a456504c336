import { expect, test, vi } from "vitest";

vi.mock("@/api/chat", () => ({ ask: vi.fn() }));
vi.mock("@/api/client", () => ({ chosenProject: () => null }));
const { messagesFor, settled } = await import("./conversation");
type Turn = import("./conversation").Turn;

const done = (text: string) => ({ text, state: "done" as const });

test("each model hears its own answers, not those of the others, and not its last one", () => {
  const turns: Turn[] = [
    { question: "1", answers: { a: done("a1"), b: done("b1") } },
    { question: "2", answers: { a: done("a2") } },
  ];
  expect(messagesFor("a", "be kind", turns)).toEqual([
    { role: "system", content: "be kind" },
    { role: "user", content: "1" },
    { role: "assistant", content: "a1" },
    { role: "user", content: "2" },
  ]);
  expect(messagesFor("c", " ", turns).map((each) => each.role)).toEqual(["user", "user"]);
});

test("what is kept of a conversation says of every answer how it ended", () => {
  const told = { text: "a1", requestId: "r", firstMs: 1, totalMs: 2, tokens: 3, finish: "stop" };
  const turns: Turn[] = [{ question: "1", answers: { a: { ...done("a1"), told }, b: { text: "half", state: "coming" } } }];
  expect(settled(turns)).toEqual([{ question: "1", answers: { a: { ...done("a1"), told }, b: { text: "half", state: "stopped" } } }]);
});
