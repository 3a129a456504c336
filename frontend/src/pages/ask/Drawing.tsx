// A chart spec drawn from the table; a table where it asks for one.
import { Table as Rows, theme } from "antd";
import { PieChart } from "echarts/charts";
import { use as register } from "echarts/core";
import { useMemo } from "react";
import { language } from "@/i18n";
import { Chart } from "@/ui/Chart";
import { count } from "@/ui/figures";
import { type Drawn, optionOf, type Spec } from "./spec";
import { words } from "./words";

register([PieChart]);

const monthNames = (speak: string) =>
  Array.from({ length: 12 }, (_, index) => new Intl.DateTimeFormat(speak, { month: "short" }).format(new Date(2020, index, 1)));

export function Drawing({ drawn, spec }: { drawn: Drawn; spec: Spec }) {
  const t = words.use();
  const { token } = theme.useToken();
  const speak = language();
  const months = useMemo(() => monthNames(speak), [speak]);
  const option = useMemo(
    () => optionOf(drawn, months, { asked: token.colorPrimary, other: token.colorBorder, text: token.colorText }),
    [drawn, months, token],
  );
  const asked = drawn.months.map((month) => ({ month, value: drawn.values[month - 1] ?? null }));
  return (
    <figure className="ask-figure">
      <figcaption>{t("chart.title", { name: spec.region, metric: spec.metric, period: spec.period })}</figcaption>
      {drawn.chart === "table" ? (
        <Rows
          size="small"
          pagination={false}
          rowKey="month"
          dataSource={asked}
          columns={[
            { title: t("chart.month"), render: (_, row) => `${drawn.year} ${months[row.month - 1] ?? ""}` },
            { title: spec.metric, align: "right", render: (_, row) => (row.value === null ? "–" : count(row.value)) },
          ]}
        />
      ) : (
        <Chart option={option} height={340} label={t("chart.label", { name: spec.region, metric: spec.metric, year: drawn.year })} />
      )}
    </figure>
  );
}
