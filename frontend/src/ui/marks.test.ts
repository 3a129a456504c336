import { expect, test } from "vitest";
import { marked } from "./marks";

const differing = (answer: string, reference: string) => marked(answer, reference).filter((each) => each.differs).map((each) => each.text);

test("only what is not in the reference is marked, and all of the answer is there", () => {
  expect(differing("华北2019年", "华北2020年")).toEqual(["2019"]);
  expect(differing("same", "same")).toEqual([]);
  expect(differing("", "x")).toEqual([]);
  expect(differing("<b>a</b>", "a")).toEqual(["<b>", "</b>"]);
  const answer = '{"region":"North China","chart":"bar"}';
  expect(marked(answer, '{"region":"East China","chart":"line"}').map((each) => each.text).join("")).toBe(answer);
});

test("very long answers are marked whole", () => {
  const long = "a b ".repeat(2000);
  expect(marked(long, "x")).toEqual([{ text: long, differs: true }]);
});
