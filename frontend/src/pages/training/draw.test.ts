import { expect, test } from "vitest";
import { families, optionOf } from "./draw";

const say = { train: "training", heldOut: "held out", step: "step" };
const run = { name: "a", curves: { loss: [[1, 2], [2, 0]] as [number, number][], held_out_loss: [[2, 1]] as [number, number][], tokens: [] } };

test("held-out curves belong to the family of the training curve, and loss comes first", () => {
  expect(families([run])).toEqual(["loss", "tokens"]);
  expect(families([{ name: "b", curves: { kl: [], loss: [], held_out_reward: [] } }])).toEqual(["reward", "loss", "kl"]);
});

test("what a run uses of its machine is no curve of learning", () => {
  expect(families([{ name: "c", curves: { loss: [], cpu_cores: [], memory_bytes: [], gpu_memory_bytes: [] } }])).toEqual(["loss"]);
});

test("the drawing has exactly the points that were told, without what a logarithm cannot show", () => {
  const lines = (log: boolean) => optionOf([run], "loss", log, say).series as { name: string; data: unknown[] }[];
  expect(lines(false).map((each) => [each.name, each.data])).toEqual([["training", [[1, 2], [2, 0]]], ["held out", [[2, 1]]]]);
  expect(lines(true)[0]?.data).toEqual([[1, 2]]);
  expect((optionOf([run, { ...run, name: "b" }], "loss", false, say).series as { name: string }[])[3]?.name).toBe("b · held out");
});
