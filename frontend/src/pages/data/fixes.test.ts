import { expect, test } from "vitest";
import { fixIn, foundIn } from "./fixes";

test("a fix is said in Chinese with the values it is about", () => {
  expect(fixIn("zh", "write 'assistant'")).toBe("写成 'assistant'");
  expect(fixIn("zh", "write one whole JSON value in this line")).toBe("在这一行写一个完整的 JSON 值");
  expect(fixIn("zh", "cut after message 7")).toBe("在第 7 条消息之后截断");
  expect(fixIn("en", "cut after message 7")).toBe("cut after message 7");
});

test("what the platform words newly stays as it was written", () => {
  expect(fixIn("zh", "do something invented tomorrow")).toBe("do something invented tomorrow");
});

test("the place of what was found is said in Chinese, the row's own text as it is", () => {
  expect(foundIn("zh", 'column 14: {"messages": }')).toBe('第 14 列：{"messages": }');
  expect(foundIn("zh", "byte 0xff at column 3: ab")).toBe("第 3 列的字节 0xff：ab");
  expect(foundIn("zh", "see column 3: ab")).toBe("see column 3: ab");
  expect(foundIn("en", "column 14: x")).toBe("column 14: x");
});
