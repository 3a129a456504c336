// The chart spec that a model answers with: read, checked against the table, and drawn.
import type { EChartsCoreOption } from "echarts/core";
import { type Aliases, meant, monthly, namesIn, type Table, yearsIn } from "./table";

export const CHARTS = ["line", "bar", "pie", "table"] as const;
export type Spec = { region: string; period: string; metric: string; chart: string };
export type Fault = { field: "answer" | keyof Spec; value: string; allowed: string[] };
export type Read = { spec: Spec; drawn: Drawn } | { spec: Spec | null; fault: Fault };
export type Drawn = { name: string; metric: string; year: string; months: number[]; chart: (typeof CHARTS)[number]; values: (number | null)[] };

const FIELDS = ["region", "period", "metric", "chart"] as const;
const PERIOD = /^(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?$/;

/** The exact text that rows of training data hold for this spec. */
export const textOf = ({ region, period, metric, chart }: Spec) => JSON.stringify({ region, period, metric, chart });

export function monthsOf(period: string): { year: string; months: number[] } | null {
  const [, year, quarter, month] = PERIOD.exec(period) ?? [];
  if (year === undefined) return null;
  if (month !== undefined) return { year, months: [Number(month)] };
  const first = quarter === undefined ? 1 : 3 * Number(quarter) - 2;
  return { year, months: Array.from({ length: quarter === undefined ? 12 : 3 }, (_, index) => first + index) };
}

function fieldsOf(answer: string): Spec | null {
  let found: unknown;
  try {
    found = JSON.parse(answer.trim().replace(/^```(?:json)?\s*|\s*```$/g, ""));
  } catch {
    return null;
  }
  if (typeof found !== "object" || found === null) return null;
  const given = found as Record<string, unknown>;
  return FIELDS.every((each) => typeof given[each] === "string") ? (given as Spec) : null;
}

/** What the answer asks to be drawn, or the first thing that is wrong with it and what would be right. */
export function read(answer: string, table: Table, aliases: Aliases): Read {
  const spec = fieldsOf(answer);
  if (spec === null) return { spec, fault: { field: "answer", value: answer, allowed: [...FIELDS] } };
  const wrong = (field: keyof Spec, allowed: string[]): Read => ({ spec, fault: { field, value: spec[field], allowed } });
  const names = namesIn(table);
  const name = meant(spec.region, names, aliases);
  if (name === undefined) return wrong("region", names);
  const metric = meant(spec.metric, table.metrics, aliases);
  if (metric === undefined) return wrong("metric", table.metrics);
  const when = monthsOf(spec.period);
  const years = yearsIn(table);
  if (when === null) return wrong("period", ["2019", "2019-Q1", "2019-03"]);
  if (!years.includes(when.year)) return wrong("period", years);
  const chart = CHARTS.find((each) => each === spec.chart);
  if (chart === undefined) return wrong("chart", [...CHARTS]);
  return { spec, drawn: { name, metric, ...when, chart, values: monthly(table, name, metric, when.year) } };
}

/** A chart of the twelve months of the year, those asked for in the stronger colour. */
export function optionOf(drawn: Drawn, months: string[], colours: { asked: string; other: string; text: string }): EChartsCoreOption {
  const asked = (index: number) => drawn.months.includes(index + 1);
  const points = drawn.values.map((value, index) => ({ value, name: months[index] ?? "", itemStyle: { color: asked(index) ? colours.asked : colours.other } }));
  if (drawn.chart === "pie") {
    return {
      xAxis: { show: false },
      yAxis: { show: false },
      legend: { show: false },
      tooltip: { trigger: "item", renderMode: "richText" },
      series: [{ type: "pie", radius: "70%", data: points.filter((each) => each.value !== null), label: { color: colours.text, formatter: "{b} {d}%" } }],
    };
  }
  const line = drawn.chart === "line";
  const label = { show: drawn.months.length <= 3, color: colours.text, position: "top", formatter: (point: { dataIndex: number; value: unknown }) => (asked(point.dataIndex) ? String(point.value) : "") };
  // What was asked for lies over the year as a line of its own.
  const over = { type: "line", name: drawn.metric, symbol: "circle", symbolSize: 9, color: colours.asked, lineStyle: { width: 3 }, label, tooltip: { show: false } };
  return {
    legend: { show: false },
    xAxis: { type: "category", data: months },
    yAxis: { type: "value", name: drawn.metric, scale: line },
    series: [
      {
        type: drawn.chart,
        name: drawn.metric,
        data: points,
        ...(line ? { symbol: "circle", symbolSize: 9, lineStyle: { color: colours.other, width: 2 } } : { label }),
      },
      ...(line ? [{ ...over, data: drawn.values.map((value, index) => (asked(index) ? value : null)) }] : []),
    ],
  };
}
