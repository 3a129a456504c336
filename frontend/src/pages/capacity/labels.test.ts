import { expect, test } from "vitest";
import { fromText, toText } from "./labels";

test("labels survive the way through a text", () => {
  const labels = { "gpu": "h100", "example.com/pool": "", "a": "b=c" };
  expect(fromText(toText(labels))).toEqual(labels);
  expect(fromText("  gpu = h100 \n\n")).toEqual({ gpu: "h100" });
});
