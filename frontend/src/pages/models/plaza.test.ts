import { expect, test } from "vitest";
import { newestBases } from "./plaza";

const version = (model: string, number: number, more: object = {}) => ({ model, number, kind: "full" as const, job_id: null, capabilities: [], ...more });

test("of each model that was brought in the newest, and nothing that was tuned here", () => {
  const all = [version("b", 1), version("a", 2), version("a", 10), version("t", 1, { job_id: "j" }), version("l", 1, { kind: "adapter" })];
  expect(newestBases(all).map((each) => `${each.model}@${each.number}`)).toEqual(["a@10", "b@1"]);
});
