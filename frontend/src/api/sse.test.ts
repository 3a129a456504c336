import { expect, test } from "vitest";
import { payloads } from "./sse";

test("events are read whole, however they were cut", () => {
  const all = ": hello\n\ndata: {\"a\":1}\n\ndata: one\ndata: two\r\n\r\ndata: [DONE]\n\n";
  for (let cut = 0; cut <= all.length; cut += 1) {
    const first = payloads(all.slice(0, cut));
    const second = payloads(first.rest + all.slice(cut));
    expect([...first.done, ...second.done]).toEqual(['{"a":1}', "one\ntwo", "[DONE]"]);
    expect(second.rest).toBe("");
  }
});
