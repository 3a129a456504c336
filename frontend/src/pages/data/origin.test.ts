import { expect, test } from "vitest";
import { originOf } from "./origin";

const say = ((key: string, values?: { of: string }) => `${key} ${values?.of ?? ""}`.trim()) as Parameters<typeof originOf>[1];

test("the two sides of a split are told apart, and of what they are", () => {
  expect(originOf({ kind: "split", part: "train", of_label: "rows@1" }, say)).toBe("from.train rows@1");
  expect(originOf({ kind: "split", part: "held_out", of_label: "rows@1" }, say)).toBe("from.held_out rows@1");
});

test("rows from outside are told by the name they came under", () => {
  expect(originOf({ kind: "upload", filename: "rows.jsonl" }, say)).toBe("rows.jsonl");
  expect(originOf({ kind: "url", url: "https://host/rows.csv" }, say)).toBe("https://host/rows.csv");
  expect(originOf({}, say)).toBe("");
});
