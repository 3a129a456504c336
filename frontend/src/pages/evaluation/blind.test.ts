import { expect, test } from "vitest";
import { shuffled } from "./blind";

const candidates = [{ version_id: "11111111-aaaa" }, { version_id: "22222222-bbbb" }];

test("a row always shows its answers in one order", () => {
  expect(shuffled(candidates, 7)).toEqual(shuffled([...candidates].reverse(), 7));
});

test("over many rows each candidate stands first about as often", () => {
  const first = Array.from({ length: 1_000 }, (_, line) => shuffled(candidates, line)[0]).filter((each) => each === candidates[0]).length;
  expect(first).toBeGreaterThan(400);
  expect(first).toBeLessThan(600);
});
