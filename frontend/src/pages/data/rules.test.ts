import { expect, test } from "vitest";
import { isRule, rules } from "./rules";

test("a rule that the platform names newly is told in its own words", () => {
  expect(isRule("role")).toBe(true);
  expect(isRule("toString")).toBe(false);
  expect(isRule("invented_tomorrow")).toBe(false);
});

test("both languages know the same rules", () => {
  expect(Object.keys(rules.languages.zh)).toEqual(Object.keys(rules.languages.en));
});
