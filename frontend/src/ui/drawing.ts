// Keeps an ECharts drawing in a box: made once, drawn anew when its option changes, resized, and taken down.
import { CanvasRenderer } from "echarts/renderers";
import { type EChartsCoreOption, getInstanceByDom, init, use as register } from "echarts/core";
import { type RefObject, useEffect, useRef } from "react";

register([CanvasRenderer]);

/** The box to draw in; `onPick` hears the name of what was clicked. */
export function useDrawing(option: EChartsCoreOption, onPick?: (name: string) => void): RefObject<HTMLDivElement | null> {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (box.current === null) return;
    const chart = init(box.current, null, { renderer: "canvas" });
    const watcher = new ResizeObserver(() => chart.resize());
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      chart.dispose();
    };
  }, []);
  useEffect(() => {
    const chart = box.current === null ? undefined : getInstanceByDom(box.current);
    if (chart === undefined) return;
    chart.setOption(option, true);
    chart.off("click");
    if (onPick) chart.on("click", (event) => onPick(event.name));
  }, [option, onPick]);
  return box;
}
