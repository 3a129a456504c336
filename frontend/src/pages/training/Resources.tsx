// What a run used of its machine: processor, memory, the accelerator's memory where there is one.
import { useMemo } from "react";
import { useCurves } from "@/api/curves";
import type { JobOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { Refused } from "@/ui/Refused";
import { RESOURCES } from "./draw";
import { words } from "./words";

type Points = [number, number][];

function Used({ name, unit, points }: { name: (typeof RESOURCES)[number]["name"]; unit: number; points: Points }) {
  const t = words.use();
  const option = useMemo(
    () => ({
      xAxis: { type: "value", name: t("checkpoint.step"), nameLocation: "middle", nameGap: 26, minInterval: 1, min: "dataMin", max: "dataMax" },
      yAxis: { type: "value", min: 0 },
      grid: { left: 8, right: 20, top: 16, bottom: 30, containLabel: true },
      series: [{ type: "line", name: t(`used.${name}`), data: points.map(([step, value]) => [step, value / unit]), showSymbol: points.length < 60, areaStyle: { opacity: 0.15 }, sampling: "lttb" }],
    }),
    [t, name, unit, points],
  );
  const most = points.reduce((high, [, value]) => Math.max(high, value), 0) / unit;
  return (
    <section className="card">
      <h2>
        {t(`used.${name}`)} <span className="quiet number">{t("used.most", { n: most.toFixed(2) })}</span>
      </h2>
      <Chart option={option} height={220} label={t(`used.${name}`)} />
    </section>
  );
}

export function Resources({ job }: { job: JobOut }) {
  const t = words.use();
  const [found] = useCurves([job]);
  if (found?.error) return <Refused refusal={refusalOf(found.error)} />;
  const curves = found?.data ?? {};
  const there = RESOURCES.flatMap(({ name, unit }) => {
    const points = curves[name];
    return points === undefined ? [] : [{ name, unit, points }];
  });
  if (there.length === 0) return <p className="quiet">{t("used.none")}</p>;
  return (
    <div className="grid2">
      {there.map((each) => (
        <Used key={each.name} {...each} />
      ))}
    </div>
  );
}
