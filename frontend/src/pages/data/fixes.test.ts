import { expect, test } from "vitest";
import { fixIn } from "./fixes";

test("a fix is said in Chinese with the values it is about", () => {
  expect(fixIn("zh", "write 'assistant'")).toBe("写成 'assistant'");
  expect(fixIn("zh", "write one whole JSON value in this line")).toBe("在这一行写一个完整的 JSON 值");
  expect(fixIn("zh", "cut after message 7")).toBe("在第 7 条消息之后截断");
  expect(fixIn("en", "cut after message 7")).toBe("cut after message 7");
});

test("what the platform words newly stays as it was written", () => {
  expect(fixIn("zh", "do something invented tomorrow")).toBe("do something invented tomorrow");
});
