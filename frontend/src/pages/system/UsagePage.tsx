// What was used: tokens over time by model, key, deployment or status, and the newest single requests.
import { useQuery } from "@tanstack/react-query";
import { Select } from "antd";
import { useMemo } from "react";
import { Link } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { deploymentsListOptions, keysListOptions, usageRecordsListOptions, usageRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { RecordOut, TotalOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { bucketOf, count, dateTime } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { series } from "./series";
import { words } from "./words";

const GROUPS = ["model", "key_id", "deployment_id", "status"] as const;

export default function UsagePage() {
  const t = words.use();
  const pager = usePager();
  const [by = "model", setBy] = useFilter("by");
  const [span = "day", setSpan] = useFilter("span");
  const bucket = span === "hour" ? "hour" : "day";
  const totals = useQuery({ ...usageRetrieveOptions({ query: { bucket, group_by: by } }), refetchInterval: 15_000 });
  const records = useQuery({ ...usageRecordsListOptions({ query: { limit: 20, cursor: pager.cursor } }), refetchInterval: 15_000 });
  const rows = totals.data?.data;
  const keys = useQuery({ ...keysListOptions({ query: { limit: 500 } }), enabled: by === "key_id" });
  const deployments = useQuery({ ...deploymentsListOptions({ query: { limit: 500 } }), enabled: by === "deployment_id" });
  const names = useMemo(() => new Map([...(keys.data?.data ?? []), ...(deployments.data?.data ?? [])].map((each) => [each.id, each.name])), [keys.data, deployments.data]);
  const option = useMemo(() => chartOf(rows ?? [], names, bucket), [rows, names, bucket]);
  return (
    <Page title={t("usage")} lead={t("usage.lead")}>
      <div className="filters">
        <Select aria-label={t("usage.group")} value={by} onChange={setBy} popupMatchSelectWidth={false} options={GROUPS.map((each) => ({ value: each, label: t(`usage.by.${each}`) }))} />
        <Select aria-label={t("usage.bucket")} value={bucket} onChange={setSpan} popupMatchSelectWidth={false} options={(["day", "hour"] as const).map((each) => ({ value: each, label: t(`usage.${each}`) }))} />
      </div>
      {rows !== undefined && rows.length > 0 && (
        <section className="card" aria-label={t("usage.tokens")}>
          <strong>{t("usage.tokens")}</strong>
          <Chart option={option} label={t("usage.tokens")} />
        </section>
      )}
      <ListTable<TotalOut>
        label={t("usage")}
        rows={rows}
        rowKey={(row) => row.start + JSON.stringify(row.group)}
        refusal={totals.error && refusalOf(totals.error)}
        onRetry={() => void totals.refetch()}
        empty={t("usage.empty")}
        columns={[
          { title: t("usage.at"), render: (_, row) => bucketOf(row.start, bucket) },
          { title: t("usage.what"), render: (_, row) => named(names, Object.values(row.group).map(String).join(" · ")) },
          { title: t("usage.requests"), align: "end", render: (_, row) => count(row.requests) },
          { title: t("usage.failed"), align: "end", render: (_, row) => count(row.failed) },
          { title: t("usage.prompt"), align: "end", render: (_, row) => count(row.prompt_tokens) },
          { title: t("usage.completion"), align: "end", render: (_, row) => count(row.completion_tokens) },
        ]}
      />
      <strong>{t("usage.records")}</strong>
      <ListTable<RecordOut>
        label={t("usage.records")}
        rows={records.data?.data}
        rowKey={(row) => row.request_id}
        refusal={records.error && refusalOf(records.error)}
        pager={pager}
        nextCursor={records.data?.next_cursor}
        empty={t("usage.empty")}
        columns={[
          { title: t("usage.at"), render: (_, row) => dateTime(row.at) },
          { title: t("usage.model"), dataIndex: "model" },
          { title: t("usage.status"), dataIndex: "status" },
          { title: t("usage.prompt"), dataIndex: "prompt_tokens", align: "end" },
          { title: t("usage.completion"), dataIndex: "completion_tokens", align: "end" },
          { title: t("usage.latency"), align: "end", render: (_, row) => `${Math.round(row.latency_ms)} ms` },
          { title: t("usage.id"), render: (_, row) => <Link className="mono" to={`/requests/${encodeURIComponent(row.request_id)}`}>…{row.request_id.slice(-10)}</Link> },
        ]}
      />
    </Page>
  );
}

type Names = ReadonlyMap<string, string>;
const named = (names: Names, id: string) => names.get(id) ?? id;

function chartOf(rows: TotalOut[], known: Names, bucket: "day" | "hour") {
  const { times, names, values } = series(rows);
  return {
    xAxis: { type: "category", data: times.map((time) => bucketOf(time, bucket)) },
    yAxis: { type: "value" },
    legend: { type: "scroll" },
    series: names.map((name) => ({ type: "bar", stack: "all", name: named(known, name), data: values(name), barMaxWidth: 40 })),
  };
}
