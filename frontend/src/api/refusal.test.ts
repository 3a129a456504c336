import { expect, test } from "vitest";
import { Refusal, refusalOf } from "./refusal";

test("the platform's error shape becomes a refusal with place, fix and request id", () => {
  const body = {
    error: { code: "invalid", message: "No.", details: [{ field: "name", rule: "r", value: 1, fix: "f" }], request_id: "req_1" },
  };
  const found = refusalOf(body, new Response(null, { status: 422 }));
  expect(found).toMatchObject({ status: 422, code: "invalid", message: "No.", requestId: "req_1" });
  expect(found.details[0]?.fix).toBe("f");
});

test("an answer that is not ours keeps its status and the id in its header", () => {
  const answer = new Response("<html>", { status: 502, headers: { "x-request-id": "req_2" } });
  expect(refusalOf("<html>", answer)).toMatchObject({ status: 502, code: "error", requestId: "req_2" });
});

test("no answer at all is status 0, and a refusal stays itself", () => {
  const gone = refusalOf(new TypeError("Failed to fetch"));
  expect(gone).toMatchObject({ status: 0, code: "unreachable" });
  expect(refusalOf(gone)).toBe(gone);
  expect(gone).toBeInstanceOf(Refusal);
});
