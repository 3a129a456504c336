import { expect, test } from "vitest";
import { rowsOf } from "./chartRows";

test("bars of a category axis: a row a category, a column a series", () => {
  const option = { xAxis: { data: ["a", "b"] }, series: [{ name: "base", data: [0, null] }, { name: "tuned", data: [{ value: 1 }, 0.5] }] };
  expect(rowsOf(option, 10)).toEqual({ head: ["", "base", "tuned"], rows: [["a", 0, 1], ["b", null, 0.5]], all: 2 });
});

test("points of several curves meet at their steps, in order", () => {
  const option = { xAxis: { name: "step" }, series: [{ name: "loss", data: [[1, 3], [3, 1]] }, { name: "held", data: [[2, 2]] }] };
  expect(rowsOf(option, 10).rows).toEqual([[1, 3, null], [2, null, 2], [3, 1, null]]);
});

test("of very many points some stand for all, the last always", () => {
  const option = { xAxis: {}, series: [{ data: Array.from({ length: 1001 }, (_, at) => [at, at]) }] };
  const { rows, all } = rowsOf(option, 100);
  expect(all).toBe(1001);
  expect(rows.length).toBeLessThanOrEqual(101);
  expect(rows.at(-1)).toEqual([1000, 1000]);
});

test("slices of a pie go by their names", () => {
  expect(rowsOf({ series: { data: [{ name: "May", value: 7 }] } }, 10).rows).toEqual([["May", 7]]);
});
