// What the parts are shown with: small, large and hostile.
import type { ComponentProps } from "react";
import type { Refusal } from "@/api/refusal";
import type { Turn } from "@/ui/Messages";
import type { RunBar } from "@/ui/runs/RunBar";

type Run = ComponentProps<typeof RunBar>["run"];

export const AT = "2026-01-31T08:30:00Z";

export const PHASES = ["draft", "queued", "running", "succeeded", "failed", "cancelled", "live", "sleeping", "unhealthy", "published"];

export const REFUSALS: ConstructorParameters<typeof Refusal>[0][] = [
  { status: 0, code: "unreachable", message: "" },
  { status: 409, code: "conflict", message: "There is a project called sales already.", details: [{ field: "name", rule: "not taken", value: "sales", fix: "choose another name" }], requestId: "req_0123456789abcdef" },
  { status: 422, code: "invalid", message: "<b>Markup</b> in what was sent stays text: <img src=x>" },
];

export const TURNS: Turn[] = [
  { role: "system", text: "You draw charts." },
  { role: "user", text: "华北地区2019年3月的销售额,用折线图表示。<b>not bold</b>" },
  { role: "assistant", text: '{"chart":"line","region":"华北"}' },
];

export const EVENTS = [
  { id: "2", at: AT, level: "info", kind: "move", source: "running", target: "succeeded", reason: "The model is registered." },
  { id: "1", at: AT, level: "warning", kind: "tracking", source: "", target: "", reason: "MLflow did not answer; it is asked again." },
];

export const BOXES = [
  { id: "data", kind: "rows", label: "sales@1", to: "/" },
  { id: "job", kind: "job", label: "a job whose name is longer than its box" },
  { id: "model", kind: "model", label: "chart-line@1" },
];

export const CURVE = {
  xAxis: { type: "value" as const, name: "step" },
  yAxis: { type: "value" as const },
  series: [
    { type: "line", name: "training", data: Array.from({ length: 60 }, (_, step) => [step, 2 / (1 + step / 10)]) },
    { type: "line", name: "held out", data: Array.from({ length: 6 }, (_, step) => [step * 10, 2.2 / (1 + step)]) },
  ],
};

export const run = (phase: string, more: Partial<Run>): Run => ({
  phase,
  reason: "",
  position: 0,
  attempt: 1,
  first_step_at: null,
  progress: {
    stage: "training",
    step: 420,
    total_steps: 1_000,
    epoch: 1.2,
    percent: 42,
    eta: { seconds: 95, seconds_low: 80, seconds_high: 130, finish_at: AT },
  },
  seconds: { queued: 2, preparing: 1, running: phase === "queued" ? null : 66, total: null },
  ...more,
});
