// Costs per day or hour, by model, key, project or kind of use.
import { useQuery } from "@tanstack/react-query";
import { Checkbox, Select } from "antd";
import { useMemo } from "react";
import { Link } from "react-router";
import { useFilter } from "@/api/cursor";
import { costsRetrieveOptions, keysListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { CostOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay, useSession } from "@/shell/session";
import { Chart } from "@/ui/Chart";
import { bucketOf } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { amount } from "./amount";
import { words } from "./words";

const GROUPS = ["model", "key_id", "kind", "project_id"] as const;

export function Costs() {
  const t = words.use();
  const session = useSession();
  const wide = useMay()("organisation", "read");
  const [by = "model", setBy] = useFilter("by");
  const [span = "day", setSpan] = useFilter("span");
  const [all, setAll] = useFilter("all");
  const bucket = span === "hour" ? "hour" : "day";
  const everywhere = wide && all === "1";
  const found = useQuery(costsRetrieveOptions({ query: { bucket, group_by: by, everywhere } }));
  const keys = useQuery({ ...keysListOptions({ query: { limit: 500 } }), enabled: by === "key_id", staleTime: 30_000 });
  const nameOf = (row: CostOut) => {
    const [what] = Object.values(row.group).map(String);
    if (by === "kind") return t(`kind.${what ?? ""}` as "kind.requests");
    const named = by === "key_id" ? keys.data?.data : by === "project_id" ? session.projects : undefined;
    return named?.find((each) => each.id === what)?.name ?? (what === "" || what === undefined ? t("costs.none") : what);
  };
  const rows = found.data?.data;
  const currency = found.data?.currency ?? "CNY";
  const option = useMemo(() => {
    const times = [...new Set((rows ?? []).map((row) => row.start))].sort();
    const names = [...new Set((rows ?? []).map(nameOf))];
    return {
      xAxis: { type: "category", data: times.map((time) => bucketOf(time, bucket)) },
      yAxis: { type: "value", name: currency },
      series: names.map((name) => ({
        type: "bar",
        stack: "all",
        name,
        barMaxWidth: 40,
        data: times.map((time) => (rows ?? []).filter((row) => row.start === time && nameOf(row) === name).reduce((sum, row) => sum + Number(row.cost), 0)),
      })),
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `nameOf` is made of what stands here
  }, [rows, keys.data, by, bucket, currency, t]);
  return (
    <div className="stack">
      <div className="filters">
        <Select aria-label={t("by")} value={by} onChange={setBy} popupMatchSelectWidth={false} options={GROUPS.filter((each) => each !== "project_id" || wide).map((each) => ({ value: each, label: t(`by.${each}`) }))} />
        <Select aria-label={t("span")} value={bucket} onChange={setSpan} popupMatchSelectWidth={false} options={(["day", "hour"] as const).map((each) => ({ value: each, label: t(`span.${each}`) }))} />
        {wide && (
          <Checkbox checked={everywhere} onChange={(event) => setAll(event.target.checked ? "1" : undefined)}>
            {t("everywhere")}
          </Checkbox>
        )}
        {found.data !== undefined && <strong>{t("total", { amount: amount(found.data.total, currency) })}</strong>}
      </div>
      {rows !== undefined && rows.length > 0 && Number(found.data?.total) === 0 && (
        <p className="quiet">
          {t("costs.free")} <Link className="within" to="?tab=prices">{t("book")}</Link>
        </p>
      )}
      {rows !== undefined && rows.length > 0 && (
        <section className="card" aria-label={t("costs")}>
          <Chart option={option} label={t("costs")} />
        </section>
      )}
      <ListTable<CostOut>
        label={t("costs")}
        rows={rows}
        rowKey={(row) => row.start + JSON.stringify(row.group)}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        empty={t("costs.empty")}
        columns={[
          { title: t("when"), render: (_, row) => bucketOf(row.start, bucket) },
          { title: t("what"), render: (_, row) => nameOf(row) },
          { title: t("cost"), align: "end", render: (_, row) => <span className="number">{amount(row.cost, currency)}</span> },
        ]}
      />
    </div>
  );
}
