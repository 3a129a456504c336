import { expect, test } from "vitest";
import { sight } from "@/ui/VirtualRows";
import { turnsOf } from "@/ui/Messages";
import { nameOf } from "./names";
import { filterOf, pagesInSight } from "./useRows";

test("what is in sight decides which pages are fetched", () => {
  expect(pagesInSight([0, 0], 0)).toEqual([0]);
  expect(pagesInSight([0, 17], 1000)).toEqual([0]);
  expect(pagesInSight([95, 112], 1000)).toEqual([0, 1]);
  expect(pagesInSight([999_990, 1_000_007], 1_000_000)).toEqual([9999]);
});

test("a million rows scroll from the first to the last though no element is that tall", () => {
  const count = 1_000_000;
  const { height } = sight(0, 600, count);
  expect(height).toBeLessThan(16_000_000);
  expect(sight(0, 600, count).first).toBe(0);
  const end = sight(height - 600, 600, count);
  expect(end.last).toBe(count);
  // The last row ends where the list ends.
  expect(end.offset + (count - end.first) * 40).toBeCloseTo(height, 0);
});

test("a short list is drawn as it is", () => {
  expect(sight(80, 600, 100)).toMatchObject({ first: 2, offset: 80, height: 4000 });
});

test("rows of every kind read as turns, and markup stays text", () => {
  expect(turnsOf({ messages: [{ role: "user", content: "<b>" }] })).toEqual([{ role: "user", text: "<b>" }]);
  expect(turnsOf({ prompt: [{ role: "user", content: "q" }], chosen: "a", rejected: "b" }).map((each) => each.role)).toEqual(["user", "chosen", "rejected"]);
  expect(turnsOf({ text: "t" })).toEqual([{ role: "", text: "t" }]);
});

test("a file's name becomes a dataset's", () => {
  expect(nameOf("Sales Q1.jsonl.gz")).toBe("sales-q1");
  expect(nameOf("销售(华北).csv")).toBe("销售-华北");
});

test("an address names rows of a group and of a length, or of a length in tokens of a model", () => {
  const of = (search: string) => filterOf(new URLSearchParams(search));
  expect(of("tab=rows&base=b")).toEqual({});
  expect(of("group=line&at_least=0")).toEqual({ group: "line", at_least: 0 });
  expect(of("group=line&base=b&tokens_at_least=3&tokens_at_most=9")).toEqual({ base: "b", at_least: 3, at_most: 9 });
});
