import { expect, test } from "vitest";
import { browserOf } from "./browser";

test("a browser is called by its own name, not by those it also claims", () => {
  const edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0";
  expect(browserOf(edge)).toBe("Edge · Windows");
  expect(browserOf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1")).toBe("Safari · iOS");
});

test("one that nobody knows is quoted, and silence stays silence", () => {
  expect(browserOf("<b>my robot</b> 1.0")).toBe("<b>my robot</b> 1.0");
  expect(browserOf("")).toBe("");
});
