import { expect, test } from "vitest";
import { joined } from "./curves";

test("later points follow earlier ones, a step told again has its later value, gaps are left out", () => {
  const before = joined({}, [
    { name: "loss", step: 2, value: 3 },
    { name: "loss", step: 1, value: 4 },
    { name: "held_out_loss", step: 2, value: 5 },
  ]);
  const after = joined(before, [
    { name: "loss", step: 2, value: 2.5 },
    { name: "loss", step: 3, value: null },
    { name: "loss", step: 4, value: 1 },
  ]);
  expect(after.loss).toEqual([[1, 4], [2, 2.5], [4, 1]]);
  expect(after.held_out_loss).toEqual([[2, 5]]);
});
