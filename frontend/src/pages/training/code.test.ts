import { expect, test, vi } from "vitest";
import { codeOf, plain } from "./code";

vi.stubGlobal("location", { origin: "http://here" });
const ask = { name: "it's", base: "b", dataset: "d", held_out: null, model: "", scale: "lora" as const, hyperparameters: { epochs: 3 } };

test("what was left out stays left out", () => {
  expect(plain(ask)).toEqual({ name: "it's", base: "b", dataset: "d", scale: "lora", hyperparameters: { epochs: 3 } });
  expect(plain({ ...ask, hyperparameters: {} })).not.toHaveProperty("hyperparameters");
});

test("a quote in a name does not end the shell's word", () => {
  const [rest, python, cli] = codeOf(ask).map((each) => each.text);
  expect(rest).toContain(`"it'\\''s"`);
  expect(cli).toContain(`--name 'it'\\''s'`);
  expect(cli).toContain("--set 'epochs=3'");
  expect(python).toContain(`"epochs": 3`);
});
