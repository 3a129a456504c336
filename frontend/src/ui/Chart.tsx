// An ECharts drawing in the colours of the theme, with the same figures as a table for who cannot see it.
import { BarChart, LineChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { type EChartsCoreOption, use as register } from "echarts/core";
import { theme } from "antd";
import { useMemo, useState } from "react";
import { rowsOf } from "./chartRows";
import { useDrawing } from "./drawing";
import { words } from "./words";

register([BarChart, LineChart, GridComponent, LegendComponent, TooltipComponent, DataZoomComponent]);

type Props = {
  option: EChartsCoreOption;
  /** What the drawing shows, in words. */
  label: string;
  height?: number;
  onPick?: (name: string) => void;
};

export function Chart({ option, label, height = 260, onPick }: Props) {
  const { token } = theme.useToken();
  const whole = useMemo(() => {
    const line = { lineStyle: { color: token.colorSplit } };
    const axis = { axisLine: line, splitLine: line, axisLabel: { color: token.colorTextSecondary } };
    return {
      animation: false,
      color: [token.colorPrimary, "#e8833a", "#2f9e6e", "#9a5bd0", "#c8485f", "#5f7d95"],
      textStyle: { color: token.colorText, fontFamily: token.fontFamily },
      grid: { left: 8, right: 16, top: 36, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
      // Never HTML: names of rows and models are strangers' text.
      tooltip: { trigger: "axis", renderMode: "richText", confine: true },
      ...option,
      legend: { top: 0, textStyle: { color: token.colorText }, ...(option.legend as object | undefined) },
      xAxis: { ...axis, ...(option.xAxis as object | undefined) },
      yAxis: { ...axis, ...(option.yAxis as object | undefined) },
    };
  }, [option, token]);
  const box = useDrawing(whole, onPick);
  return (
    <>
      <div ref={box} className="chart" role="img" aria-label={label} style={{ height }} />
      <Figures option={option} label={label} />
    </>
  );
}

const MOST_ROWS = 200;
const figure = (value: string | number | null | undefined) => (typeof value === "number" ? Number(value.toPrecision(6)) : (value ?? "–"));

/** What is drawn, as a table, once it is opened. */
function Figures({ option, label }: Pick<Props, "option" | "label">) {
  const t = words.use();
  const [open, setOpen] = useState(false);
  const table = useMemo(() => (open ? rowsOf(option, MOST_ROWS) : null), [open, option]);
  return (
    <details className="chart-figures" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("chart.table")}</summary>
      {table !== null && (
        <div className="chart-rows" tabIndex={0} role="region" aria-label={label}>
          {table.rows.length < table.all && <p className="quiet">{t("chart.part", { n: table.rows.length, all: table.all })}</p>}
          <table className="number" aria-label={label}>
            <thead>
              <tr>
                {table.head.map((name, index) => (index === 0 && name === "" ? <td key={index} /> : <th key={index} scope="col">{name}</th>))}
              </tr>
            </thead>
            <tbody>
              {table.rows.map(([name, ...values], index) => (
                <tr key={index}>
                  <th scope="row">{name}</th>
                  {values.map((value, column) => (
                    <td key={column}>{figure(value)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
