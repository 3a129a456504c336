import { expect, test } from "vitest";
import { series } from "./series";

const row = (start: string, model: string, tokens: number) => ({
  start, group: { model }, prompt_tokens: tokens, completion_tokens: 1,
});

test("every group has a value at every time, nothing where it was not used", () => {
  const found = series([row("2026-01-02", "b", 5), row("2026-01-01", "a", 3), row("2026-01-02", "a", 7)]);
  expect(found.times).toEqual(["2026-01-01", "2026-01-02"]);
  expect(found.names).toEqual(["a", "b"]);
  expect(found.values("a")).toEqual([4, 8]);
  expect(found.values("b")).toEqual([0, 6]);
});
