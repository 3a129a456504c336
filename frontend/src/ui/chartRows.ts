// The figures of a drawing as rows of a table, read from the very option that is drawn.
import type { EChartsCoreOption } from "echarts/core";

type Value = string | number | null;
type Series = { name?: string; data?: unknown[] };
export type ChartRows = { head: string[]; rows: Value[][]; all: number };

const valueOf = (each: unknown): Value =>
  typeof each === "number" || typeof each === "string" ? each
  : typeof each === "object" && each !== null && "value" in each ? valueOf(each.value)
  : null;
const nameOf = (each: unknown, fallback: string) => (typeof each === "object" && each !== null && "name" in each ? String(each.name) : fallback);

/** One row for each place on the x axis, one column for each series; of many rows, `most` at even distances and the last. */
export function rowsOf(option: EChartsCoreOption, most: number): ChartRows {
  const given = option.series as Series | Series[] | undefined;
  const series = given === undefined ? [] : Array.isArray(given) ? given : [given];
  const axis = (option.xAxis as { data?: Value[]; name?: string } | undefined) ?? {};
  const rows = new Map<Value, Value[]>();
  series.forEach(({ data = [] }, column) =>
    data.forEach((each, index) => {
      const [x, y] = Array.isArray(each) ? (each as [Value, Value]) : [axis.data?.[index] ?? nameOf(each, String(index)), valueOf(each)];
      const row = rows.get(x) ?? series.map(() => null);
      row[column] = y;
      rows.set(x, row);
    }),
  );
  const all = [...rows].map(([x, values]) => [x, ...values]);
  if (axis.data === undefined) all.sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : 0));
  const every = Math.ceil(all.length / most);
  return {
    head: [axis.name ?? "", ...series.map((each) => each.name ?? "")],
    rows: all.filter((_, index) => index % every === 0 || index === all.length - 1),
    all: all.length,
  };
}
