import { expect, test } from "vitest";
import { left } from "./shares";

test("what is missing to a hundred, with fields that are still empty", () => {
  expect(left([{ percent: 90 }, { percent: 10 }])).toBe(0);
  expect(left([{ percent: 90 }, undefined, { percent: null }])).toBe(10);
  expect(left([{ percent: 90 }, { percent: 20 }])).toBe(-10);
});
