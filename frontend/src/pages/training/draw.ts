// Curves as an ECharts option: one family of curves a chart, a line a run, held-out rows dashed.
import type { EChartsCoreOption } from "echarts/core";
import type { Curves } from "@/api/curves";

export type Drawn = { name: string; curves: Curves };

/** Names of curves without the prefix that tells held-out rows from training rows, each once; first what tells most. */
export function families(runs: Drawn[]): string[] {
  const names = new Set(runs.flatMap((run) => Object.keys(run.curves).map((name) => name.replace(/^held_out_/, ""))));
  for (const { name } of RESOURCES) names.delete(name);
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return [...names].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** What a run uses of its machine is told among its curves, and shown apart: name, and how much makes one on the axis. */
export const RESOURCES = [
  { name: "cpu_cores", unit: 1 },
  { name: "memory_bytes", unit: 1e9 },
  { name: "gpu_memory_bytes", unit: 1e9 },
] as const;

// A loss says nothing where rewards are what is learnt from.
const FIRST = ["reward", "loss"];
const COLOURS = ["#3b7cff", "#e8833a", "#2f9e6e", "#9a5bd0", "#c8485f", "#5f7d95"];

export function optionOf(runs: Drawn[], family: string, log: boolean, say: { train: string; heldOut: string; step: string }): EChartsCoreOption {
  const series = runs.flatMap((run, index) =>
    [
      { key: family, said: say.train, held: false },
      { key: `held_out_${family}`, said: say.heldOut, held: true },
    ].flatMap(({ key, said, held }) => {
      const data = run.curves[key];
      if (data === undefined) return [];
      return {
        type: "line",
        name: runs.length > 1 ? `${run.name} · ${said}` : said,
        data: log ? data.filter(([, value]) => value > 0) : data,
        showSymbol: held && data.length < 100,
        symbolSize: 6,
        sampling: "lttb",
        lineStyle: { width: held ? 2.5 : 1.5, type: held ? "dashed" : "solid" },
        // Held-out curves of a single run get a colour of their own; of several, a run keeps one colour.
        itemStyle: { color: COLOURS[(runs.length === 1 && held ? 1 : index) % COLOURS.length] },
      };
    }),
  );
  return {
    xAxis: { type: "value", name: say.step, nameLocation: "middle", nameGap: 26, minInterval: 1, min: "dataMin", max: "dataMax" },
    yAxis: { type: log ? "log" : "value", scale: true },
    grid: { left: 8, right: 20, top: 40, bottom: 30, containLabel: true },
    dataZoom: [{ type: "inside", filterMode: "none" }],
    series,
  };
}
