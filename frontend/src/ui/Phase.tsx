// Where something stands in its life, in a word and a colour; why, when the pointer or focus rests on it.
import { Tag, Tooltip } from "antd";
import { said } from "./said";
import { words } from "./words";

type Word = Parameters<ReturnType<typeof words.use>>[0];
const GOOD = new Set(["valid", "published", "ready", "succeeded", "live", "serving", "done", "sent"]);
const BAD = new Set(["invalid", "failed", "refused", "unhealthy"]);
const REST = new Set(["draft", "cancelled", "stopped", "sleeping", "deleted", "retired", "binned"]);
const WAITS = new Set(["queued"]);

const colour = (phase: string) =>
  GOOD.has(phase) ? "success" : BAD.has(phase) ? "error" : REST.has(phase) ? "default" : WAITS.has(phase) ? "warning" : "processing";

export function Phase({ phase, reason }: { phase: string; reason?: string }) {
  const t = words.use();
  const tag = <Tag color={colour(phase)}>{t(`phase.${phase}` as Word)}</Tag>;
  return reason === undefined || reason === "" ? tag : (
    <Tooltip title={said(reason)}>
      <span tabIndex={0}>{tag}</span>
    </Tooltip>
  );
}
