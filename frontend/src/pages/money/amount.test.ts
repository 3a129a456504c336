import { expect, test } from "vitest";
import "@/i18n";
import { amount, times, used } from "./amount";

test("an amount keeps every digit that was counted", () => {
  expect(amount("123456789012345.654321", "USD").replace(/[^\d.]/g, "")).toBe("123456789012345.654321");
  expect(amount("5.000000", "USD").replace(/[^\d.]/g, "")).toBe("5.00");
});

test("a limit is full only when nothing is left", () => {
  expect(used("99.999999", "0", "100")).toBe(99);
  expect(used("60", "40", "100")).toBe(100);
  expect(used("0", "0", "0")).toBe(100);
});

test("an amount is multiplied without losing a digit", () => {
  expect(times("0.100000", 3)).toBe("0.300000");
  expect(times("30", 2)).toBe("60.000000");
  expect(times("123456789.654321", 10000)).toBe("1234567896543.210000");
});
