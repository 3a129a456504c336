// What a job would need, beside the form that asks for it: tokens, steps, time, memory, price, start.
import { Descriptions, Skeleton, Tooltip } from "antd";
import type { EstimateOut } from "@/api/generated/types.gen";
import type { Refusal } from "@/api/refusal";
import { amount } from "@/pages/money/amount";
import { bytes, count, seconds, short } from "@/ui/figures";
import { Refused } from "@/ui/Refused";
import { said } from "@/ui/said";
import { words } from "./words";

type Props = { estimate: EstimateOut | undefined; refusal: Refusal | null; waiting: boolean; asked: boolean };

export function Estimate({ estimate, refusal, waiting, asked }: Props) {
  const t = words.use();
  return (
    <aside className="card estimate" aria-label={t("estimate")} aria-live="polite" aria-busy={waiting}>
      <h2 className="card-title">{t("estimate")}</h2>
      {!asked && <p className="quiet">{t("estimate.first")}</p>}
      {refusal !== null && <Refused refusal={refusal} />}
      {asked && refusal === null && estimate === undefined && <Skeleton active paragraph={{ rows: 5 }} title={false} />}
      {refusal === null && estimate !== undefined && (
        <>
          <div className="estimate-time">{seconds(estimate.seconds)}</div>
          <p className="quiet">{t("estimate.band", { low: seconds(estimate.seconds_low), high: seconds(estimate.seconds_high) })}</p>
          <Descriptions
            column={1}
            size="small"
            items={[
              {
                label: t("estimate.start"),
                children: (
                  <span>
                    {estimate.starts_in_seconds === 0
                      ? t("estimate.start.now")
                      : `${t("estimate.start.in", { time: seconds(estimate.starts_in_seconds) })} · ${said(estimate.starts_reason)}`}
                  </span>
                ),
              },
              { label: t("estimate.price"), children: amount(estimate.price, estimate.currency) },
              {
                label: t("estimate.memory"),
                children: (
                  <Tooltip title={Object.entries(estimate.memory_parts).map(([part, size]) => `${part}: ${bytes(size)}`).join(" · ")}>
                    <span tabIndex={0}>{bytes(estimate.memory_bytes)}</span>
                  </Tooltip>
                ),
              },
              { label: t("estimate.rows"), children: count(estimate.rows) },
              { label: t("estimate.tokens"), children: count(estimate.tokens) },
              { label: t("estimate.steps"), children: count(estimate.steps) },
              { label: t("estimate.trainable"), children: short(estimate.trainable_parameters) },
              { label: t("estimate.basis"), children: said(estimate.basis) },
            ].map((each) => ({ ...each, key: each.label }))}
          />
        </>
      )}
    </aside>
  );
}
