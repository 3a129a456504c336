// Where a run stands: its stages with the time each took, why it waits, how far it is, when it will be done.
import { Alert, Progress, Steps } from "antd";
import type { ProgressOut, TimingsOut } from "@/api/generated/types.gen";
import { count, seconds } from "../figures";
import { said } from "../said";
import { LinkButton } from "./LinkButton";
import { words } from "./words";

type Run = { phase: string; reason: string; position: number; attempt: number; progress: ProgressOut; seconds: TimingsOut; first_step_at: string | null };

// Told by the bar already.
const COUNTS = /^step \d+ of \d+$/;

/** Paused by its budget, not by a person. */
export const isShort = ({ phase, reason }: Pick<Run, "phase" | "reason">): boolean => phase === "paused" && reason !== "" && !reason.startsWith("paused by ");

/** The stage, 0 to 4, that a run in this phase is at; what failed stays where it failed. */
export function stageOf(run: Pick<Run, "phase" | "first_step_at" | "seconds">): number {
  if (run.phase === "queued") return 0;
  if (run.phase === "succeeded") return 4;
  if (run.phase === "harvesting") return 3;
  if (run.first_step_at !== null) return 2;
  return run.seconds.preparing === null && run.seconds.running === null && run.phase !== "running" ? 0 : 1;
}

export function RunBar({ run }: { run: Run }) {
  const t = words.use();
  const at = stageOf(run);
  const ended = ["failed", "cancelled"].includes(run.phase);
  const short = isShort(run);
  const { progress } = run;
  const took = [run.seconds.queued, run.seconds.preparing, run.seconds.running, null, run.seconds.total];
  const names = ["queued", "preparing", "running", "harvesting", "done"] as const;
  return (
    <section className="card runbar" aria-label={t("progress")}>
      <Steps
        size="small"
        current={at}
        status={ended ? "error" : run.phase === "succeeded" ? "finish" : run.phase === "paused" ? "wait" : "process"}
        items={names.map((name, index) => {
          const time = took[index];
          return { title: t(`stage.${name}`), ...(time !== null && time !== undefined && index <= at && { content: seconds(time) }) };
        })}
      />
      {run.phase === "running" && (
        <>
          <Progress percent={Math.round(progress.percent)} status="active" aria-label={t("progress")} />
          <div className="runbar-facts number">
            {progress.total_steps > 0 && <span>{t("steps", { step: count(progress.step), total: count(progress.total_steps) })}</span>}
            {progress.eta !== null && (
              <span>
                {t("eta", {
                  expected: seconds(progress.eta.seconds),
                  low: seconds(progress.eta.seconds_low),
                  high: seconds(progress.eta.seconds_high),
                })}
              </span>
            )}
          </div>
        </>
      )}
      {run.reason !== "" && !COUNTS.test(run.reason) && (
        <Alert
          type={run.phase === "failed" ? "error" : run.phase === "queued" || short ? "warning" : "info"}
          showIcon={run.phase === "failed" || run.phase === "queued" || short}
          {...(short && { action: <LinkButton to="/system/quotas">{t("short.quotas")}</LinkButton> })}
          title={[
            run.phase === "queued" && run.position > 0 ? t("position", { n: run.position }) : "",
            short ? t("short") : "",
            run.attempt > 1 ? t("attempt", { n: run.attempt }) : "",
            said(run.reason),
          ]
            .filter(Boolean)
            .join(" · ")}
        />
      )}
    </section>
  );
}
