import { expect, test } from "vitest";
import { live } from "./live";

const asked = (data: unknown) => live({ state: { data } });

test("what moves is looked at often, what rests seldom", () => {
  expect(asked({ phase: "running" })).toBeLessThan(asked({ phase: "succeeded" }));
  expect(asked({ data: [{ phase: "ready" }, { phase: "importing" }] })).toBe(asked({ phase: "queued" }));
  expect(asked({ data: [{ phase: "ready" }] })).toBe(asked({ phase: "live" }));
  expect(asked(undefined)).toBe(asked({ data: [] }));
});
