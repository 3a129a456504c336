import { expect, test } from "vitest";
import { actOf, nameOf, pageOf, plain } from "./acts";

const ID = "8958f644-46af-4c71-b5f3-a9f9a7050c21";

test("an act is said in words, one that has none as it is written but for its parameters", () => {
  expect(actOf("POST api/v1/dataset-versions/<uuid:version_id>/upload/finish")).toEqual({ done: "*/upload/finish", kind: "dataset-versions" });
  expect(actOf("DELETE api/v1/models/<uuid:model_id>/aliases/<str:alias>")).toEqual({ done: "DELETE */aliases", kind: "models" });
  expect(actOf("PUT api/v1/capacity/pools/<uuid:pool_id>")).toEqual({ done: "PUT */pools", kind: "capacity" });
  expect(actOf("POST api/v1/session")).toEqual({ done: "POST session", kind: "" });
  expect(actOf("POST v1/fine_tuning/jobs/<str:job>/cancel")).toBeNull();
  expect(plain("POST v1/fine_tuning/jobs/<str:job>/cancel")).toBe("POST v1/fine_tuning/jobs/…/cancel");
});

test("what it was done to has the name that the entry tells, and a page unless it was removed", () => {
  expect(nameOf({ after: { name: "now" }, before: { name: "then" }, asked: null })).toBe("now");
  expect(nameOf({ after: null, before: null, asked: { model: "m" } })).toBeUndefined();
  expect(pageOf({ action: "POST api/v1/jobs", object: ID })).toBe(`/training/${ID}`);
  expect(pageOf({ action: "POST api/v1/dataset-versions/<uuid:version_id>/export", object: `${ID} 0e72d9e4` })).toBe(`/data/-/versions/${ID}`);
  expect(pageOf({ action: "DELETE api/v1/jobs/<uuid:job_id>", object: ID })).toBeUndefined();
  expect(pageOf({ action: "POST api/v1/keys", object: ID })).toBeUndefined();
});
