import { expect, test, vi } from "vitest";
import { notJson } from "./notJson";

const speaks = vi.hoisted(() => ({ now: "en" }));
vi.mock("@/i18n", () => ({ language: () => speaks.now }));

test.each(["zh", "en"])("what is no JSON is told in %s, in no word of the browser's", (language) => {
  speaks.now = language;
  expect(notJson('{"a": [1, "b", null]}')).toBe("");
  for (const text of ["", "{", '{"a": "b', '{"a": x}', "{'a': 1}", '{"a": 1,}', "1 2"]) {
    expect(notJson(text)).toMatch(language === "zh" ? /^[^a-z]+$/ : /^(at character \d+: )?it is/);
  }
});
