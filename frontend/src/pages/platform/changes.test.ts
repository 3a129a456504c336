import { expect, test } from "vitest";
import { changes } from "./changes";

test("only what differs is a change, and what is new or gone is one", () => {
  expect(changes({ a: 1, b: "x", c: [1] }, { a: 1, b: "y", c: [1], d: true })).toEqual([
    { field: "b", before: "x", after: "y" },
    { field: "d", before: "", after: "true" },
  ]);
  expect(changes({ a: 1 }, null)).toEqual([{ field: "a", before: "1", after: "" }]);
  expect(changes(null, null)).toEqual([]);
});
