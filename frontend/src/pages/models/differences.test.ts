import { expect, test } from "vitest";
import { flat, sideBySide } from "./differences";

test("what is nested is named by its path, lists stay whole", () => {
  expect(flat({ a: { b: 1, c: [1, 2] }, d: null })).toEqual({ "a.b": 1, "a.c": [1, 2], d: null });
  expect(flat(null)).toEqual({});
});

test("differences stand first, and what one side lacks is one", () => {
  expect(sideBySide({ a: 1, b: 2 }, { a: 1, b: 3, c: "x" })).toEqual([
    { name: "b", one: "2", other: "3", same: false },
    { name: "c", one: "–", other: "x", same: false },
    { name: "a", one: "1", other: "1", same: true },
  ]);
});
