import { expect, test, vi } from "vitest";

vi.mock("./client", () => ({ listeners: {}, ownHeaders: () => ({}), queries: {} }));
const { concerns } = await import("./changes");

const job = { kind: "training.trainingjob", id: "7" };

test("a list is read anew when one of its things changed", () => {
  expect(concerns([{ _id: "jobsList", query: { limit: 20 } }], job)).toBe(true);
  expect(concerns([{ _id: "evalsList" }], job)).toBe(false);
});

test("the page of one job is not read anew for another", () => {
  expect(concerns([{ _id: "jobsRetrieve", path: { job_id: "7" } }], job)).toBe(true);
  expect(concerns([{ _id: "jobsRetrieve", path: { job_id: "8" } }], job)).toBe(false);
  expect(concerns(["curves", "7", 1, false], job)).toBe(true);
  expect(concerns(["curves", "8", 1, false], job)).toBe(false);
});

test("an act names the word of its route", () => {
  expect(concerns([{ _id: "serviceAccountsList" }], { kind: "service-accounts", id: "1" })).toBe(true);
  expect(concerns([{ _id: "keysList" }], { kind: "service-accounts", id: "1" })).toBe(false);
});
