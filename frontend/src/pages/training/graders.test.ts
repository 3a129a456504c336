import { expect, test } from "vitest";
import { graderOf, GRADERS, KINDS, textOf } from "./graders";

test("every grader to begin with is what its text says", () => {
  for (const kind of KINDS) expect(graderOf(textOf(GRADERS[kind]))).toEqual({ grader: GRADERS[kind] });
});

test("what is no object is no grader, and why is told", () => {
  for (const text of ["", "[1]", "null", "7", "{"]) expect(graderOf(text)).toHaveProperty("fault");
});
