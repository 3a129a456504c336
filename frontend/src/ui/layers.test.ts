import { expect, test } from "vitest";
import { fitting, placed } from "./layers";

const box = (id: string) => ({ id, kind: "k", label: id });

test("what comes from two stands behind the later of them, and those side by side do not overlap", () => {
  const { boxes } = placed(["data", "base", "job", "version", "other"].map(box), [
    { from: "data", to: "job" },
    { from: "base", to: "job" },
    { from: "job", to: "version" },
    { from: "base", to: "version" },
    { from: "version", to: "other" },
  ]);
  const x = Object.fromEntries(boxes.map((each) => [each.id, each.x]));
  expect([x.data, x.base]).toEqual([0, 0]);
  expect((x.job ?? 0) < (x.version ?? 0) && (x.version ?? 0) < (x.other ?? 0)).toBe(true);
  expect(new Set(boxes.map((each) => `${each.x}/${each.y}`)).size).toBe(5);
});

test("a circle ends", () => {
  expect(placed([box("a"), box("b")], [{ from: "a", to: "b" }, { from: "b", to: "a" }]).boxes).toHaveLength(2);
});

test("a long name is cut where it would leave its box", () => {
  expect(fitting("chart-base@1", 20)).toBe("chart-base@1");
  expect(fitting("req_163a7c0c8d33fbabd6da00000001", 20)).toBe("req_163a7c0c8d33fba…");
  expect(fitting("华北地区的销售数据集", 10)).toBe("华北地区…");
});

test("a drawing is as large as its boxes, one alone too", () => {
  expect(placed([box("a")], []).corners).toEqual([{ x: -74, y: -26 }, { x: 74, y: 26 }]);
});
