// What the last requests to a deployment took, in time and tokens, as the usage ledger has them.
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { usageRecordsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { RecordOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { dateTime } from "@/ui/figures";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

type Line = { name: string; of: (record: RecordOut) => number | null };

const optionOf = (records: RecordOut[], lines: Line[], type: "line" | "bar") => ({
  xAxis: { type: "category", data: records.map((each) => dateTime(each.at)) },
  yAxis: { type: "value" },
  series: lines.map(({ name, of }) => ({ type, name, data: records.map(of), ...(type === "line" ? { showSymbol: records.length < 60, symbolSize: 5 } : { stack: "all" }) })),
});

export function Traffic({ deploymentId }: { deploymentId: string }) {
  const t = words.use();
  const found = useQuery({ ...usageRecordsListOptions({ query: { deployment_id: deploymentId, limit: 200 } }), refetchInterval: 10_000 });
  const records = useMemo(() => [...(found.data?.data ?? [])].reverse(), [found.data]);
  const latency = useMemo(
    () =>
      optionOf(records, [{ name: t("traffic.total"), of: (each) => each.latency_ms }, { name: t("traffic.first"), of: (each) => each.first_byte_ms }], "line"),
    [records, t],
  );
  const tokens = useMemo(
    () =>
      optionOf(records, [{ name: t("traffic.prompt"), of: (each) => each.prompt_tokens }, { name: t("traffic.completion"), of: (each) => each.completion_tokens }], "bar"),
    [records, t],
  );
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  if (found.data === undefined) return null;
  if (records.length === 0) return <p className="quiet">{t("traffic.none")}</p>;
  const failed = records.filter((each) => each.status >= 400).length;
  const n = records.length;
  return (
    <div className="grid2">
      <section className="card">
        <h2 className="deploy-title">
          {t("traffic.latency", { n })}
          {failed > 0 && ` · ${t("traffic.failed", { n: failed })}`}
        </h2>
        <Chart option={latency} label={t("traffic.latency", { n })} />
      </section>
      <section className="card">
        <h2 className="deploy-title">{t("traffic.tokens", { n })}</h2>
        <Chart option={tokens} label={t("traffic.tokens", { n })} />
      </section>
    </div>
  );
}
