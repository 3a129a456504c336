// Live curves of a job, overlaid with those of others; what is overlaid stands in the URL.
import { useQuery } from "@tanstack/react-query";
import { Button, Checkbox, Select } from "antd";
import { useMemo, useState } from "react";
import { useFilter } from "@/api/cursor";
import { type RunToDraw, useCurves } from "@/api/curves";
import { jobsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { JobOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { Refused } from "@/ui/Refused";
import { families, optionOf } from "./draw";
import { words } from "./words";

const SPOKEN = ["loss", "reward", "kl", "reward_margin", "reward_accuracy", "token_accuracy", "learning_rate", "grad_norm"] as const;

export function CurvesPanel({ job }: { job: JobOut }) {
  const t = words.use();
  const [overlaid, setOverlaid] = useFilter("with");
  const [metric, setMetric] = useFilter("metric");
  const [log, setLog] = useState(false);
  const [choosing, setChoosing] = useState(false);
  const ids = useMemo(() => overlaid?.split(",").slice(0, 5) ?? [], [overlaid]);
  const others = useQuery({ ...jobsListOptions({ query: { limit: 100 } }), enabled: choosing || ids.length > 0, staleTime: 30_000 });
  const runs: RunToDraw[] = [job, ...(others.data?.data ?? []).filter((each) => ids.includes(each.id) && each.id !== job.id)];
  const found = useCurves(runs);
  const drawn = runs.map((run, index) => ({ name: run.name, curves: found[index]?.data ?? {} }));
  const names = families(drawn);
  const family = names.find((each) => each === metric) ?? names[0];
  const error = found.find((each) => each.error)?.error;
  const title = (name: string) => ((SPOKEN as readonly string[]).includes(name) ? t(`curve.${name as (typeof SPOKEN)[number]}`) : name);
  // Drawn anew only when points came, not whenever the job is looked at.
  const stamp = found.map((each) => each.dataUpdatedAt).join();
  const option = useMemo(
    () => (family === undefined ? null : optionOf(drawn, family, log, { train: t("curve.train"), heldOut: t("curve.held_out"), step: t("checkpoint.step") })),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `stamp` stands for the points
    [stamp, family, log, t, overlaid],
  );
  return (
    <section className="card" aria-label={t("curves")}>
      <div className="filters">
        {family !== undefined && (
          <Select
            className="filter-wide"
            aria-label={t("curve.metric")}
            value={family}
            options={names.map((each) => ({ value: each, label: title(each) }))}
            onChange={(value: string) => setMetric(value === names[0] ? undefined : value)}
          />
        )}
        <Select
          mode="multiple"
          className="overlay"
          maxCount={5}
          placeholder={t("curve.overlay")}
          aria-label={t("curve.overlay")}
          value={ids}
          loading={others.isFetching}
          onOpenChange={setChoosing}
          showSearch={{ optionFilterProp: "label" }}
          options={(others.data?.data ?? []).filter((each) => each.id !== job.id).map((each) => ({ value: each.id, label: each.name }))}
          onChange={(value: string[]) => setOverlaid(value.join(",") || undefined)}
        />
        <Checkbox checked={log} onChange={(event) => setLog(event.target.checked)}>
          {t("curve.log")}
        </Checkbox>
        <Button type="link" href={`/api/v1/jobs/${job.id}/metrics.csv`}>
          {t("curve.csv")}
        </Button>
      </div>
      {error !== undefined && error !== null && <Refused refusal={refusalOf(error)} />}
      {option === null || family === undefined ? (
        <p className="quiet">{t("curve.none")}</p>
      ) : (
        <Chart option={option} height={340} label={t("curve.label", { metric: title(family) })} />
      )}
    </section>
  );
}
