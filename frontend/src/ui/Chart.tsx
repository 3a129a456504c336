// An ECharts drawing in the colours of the theme, with the same figures as a table for who cannot see it.
import { BarChart, LineChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { type EChartsCoreOption, getInstanceByDom, init, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { theme } from "antd";
import { useEffect, useRef } from "react";

register([BarChart, LineChart, GridComponent, LegendComponent, TooltipComponent, DataZoomComponent, CanvasRenderer]);

type Props = {
  option: EChartsCoreOption;
  /** What the drawing shows, in words. */
  label: string;
  height?: number;
  onPick?: (name: string) => void;
};

export function Chart({ option, label, height = 260, onPick }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { token } = theme.useToken();
  useEffect(() => {
    if (box.current === null) return;
    const chart = init(box.current, null, { renderer: "canvas" });
    const watcher = new ResizeObserver(() => chart.resize());
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      chart.dispose();
    };
  }, [token.colorBgContainer]);
  useEffect(() => {
    const chart = box.current === null ? undefined : getInstanceByDom(box.current);
    if (chart === undefined) return;
    const line = { lineStyle: { color: token.colorSplit } };
    const axis = { axisLine: line, splitLine: line, axisLabel: { color: token.colorTextSecondary } };
    chart.setOption(
      {
        animation: false,
        color: [token.colorPrimary, "#e8833a", "#2f9e6e", "#9a5bd0", "#c8485f", "#5f7d95"],
        textStyle: { color: token.colorText, fontFamily: "inherit" },
        grid: { left: 8, right: 16, top: 36, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
        // Never HTML: names of rows and models are strangers' text.
        tooltip: { trigger: "axis", renderMode: "richText", confine: true },
        legend: { top: 0, textStyle: { color: token.colorText } },
        ...option,
        xAxis: { ...axis, ...(option.xAxis as object | undefined) },
        yAxis: { ...axis, ...(option.yAxis as object | undefined) },
      },
      true,
    );
    chart.off("click");
    if (onPick) chart.on("click", (event) => onPick(event.name));
  }, [option, token, onPick]);
  return <div ref={box} className="chart" role="img" aria-label={label} style={{ height }} />;
}
