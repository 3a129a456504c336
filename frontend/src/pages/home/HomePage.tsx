// What runs, what waits and why, what needs a person, and the first steps, ticked as they are taken.
import { useQuery } from "@tanstack/react-query";
import { Progress } from "antd";
import { Link } from "react-router";
import {
  datasetsListOptions,
  deploymentsListOptions,
  evalsListOptions,
  jobsListOptions,
  modelsListOptions,
  usageRetrieveOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import { atRest, live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { count, short } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { FirstSteps } from "./FirstSteps";
import { words } from "./words";

const query = { limit: 20 };
type Work = { kind: "job" | "eval" | "deployment"; id: string; to: string; name: string; phase: string; reason: string; position: number; percent: number | null };

export default function HomePage() {
  const t = words.use();
  const models = useQuery(modelsListOptions({ query: { limit: 1 } }));
  const datasets = useQuery(datasetsListOptions({ query: { limit: 1 } }));
  const jobs = useQuery({ ...jobsListOptions({ query }), refetchInterval: live });
  const evals = useQuery({ ...evalsListOptions({ query }), refetchInterval: live });
  const deployments = useQuery({ ...deploymentsListOptions({ query }), refetchInterval: live });
  const usage = useQuery({ ...usageRetrieveOptions({ query: { bucket: "day", group_by: "" } }), refetchInterval: 30_000 });

  const work: Work[] = [
    ...(jobs.data?.data ?? []).map((each) => ({ ...each, kind: "job" as const, to: `/training/${each.id}`, percent: each.progress.percent })),
    ...(evals.data?.data ?? []).map((each) => ({ ...each, kind: "eval" as const, to: `/evaluation/${each.id}`, percent: each.progress.percent })),
    ...(deployments.data?.data ?? []).map((each) => ({ ...each, kind: "deployment" as const, to: `/deployments/${each.id}`, position: 0, percent: null })),
  ];
  const moving = work.filter((each) => !atRest(each.phase));
  const attention = work.filter((each) => each.phase === "failed" || each.phase === "unhealthy");
  const serving = deployments.data?.data.filter((each) => each.serving !== null) ?? [];
  const totals = usage.data?.data ?? [];
  const sum = (pick: (row: (typeof totals)[number]) => number) => totals.reduce((all, row) => all + pick(row), 0);
  const requests = sum((row) => row.requests);
  const failure = [models, datasets, jobs, evals, deployments, usage].find((each) => each.error !== null)?.error;
  return (
    <Page title={t("title")}>
      {failure && <Refused refusal={refusalOf(failure)} />}
      <div className="grid2">
        <FirstSteps
          taken={{
            model: (models.data?.data.length ?? 0) > 0,
            data: (datasets.data?.data.length ?? 0) > 0,
            job: jobs.data?.data.some((each) => each.phase === "succeeded") ?? false,
            eval: evals.data?.data.some((each) => each.phase === "succeeded") ?? false,
            deploy: serving.length > 0,
            call: requests > 0,
          }}
        />
        <section className="card" aria-label={t("running")}>
          <h2>{t("running")}</h2>
          {moving.length === 0 ? t("running.none") : moving.map((each) => <WorkLine key={each.id} work={each} />)}
          {attention.length > 0 && <h2>{t("attention")}</h2>}
          {attention.map((each) => (
            <WorkLine key={each.id} work={each} />
          ))}
        </section>
        <section className="card" aria-label={t("services")}>
          <h2>{t("services")}</h2>
          {serving.length === 0
            ? t("services.none")
            : serving.map((each) => (
                <p key={each.id}>
                  <Link to={`/deployments/${each.id}`}>{each.name}</Link> <Phase phase={each.phase} reason={each.reason} />
                </p>
              ))}
        </section>
        <section className="card" aria-label={t("usage")}>
          <h2>{t("usage")}</h2>
          <Link to="/system/usage">
            {count(requests)} {t("usage.requests")} · {short(sum((row) => row.prompt_tokens + row.completion_tokens))} {t("usage.tokens")} ·{" "}
            {count(sum((row) => row.failed))} {t("usage.failed")}
          </Link>
        </section>
      </div>
    </Page>
  );
}

function WorkLine({ work }: { work: Work }) {
  const t = words.use();
  return (
    <div className="work">
      <Link to={work.to}>
        {t(work.kind)} · {work.name}
      </Link>{" "}
      <Phase phase={work.phase} />
      {work.position > 0 && <span>{t("waits", { n: work.position })}</span>}
      {work.reason !== "" && <div className="work-reason">{work.reason}</div>}
      {work.percent !== null && work.phase === "running" && <Progress percent={Math.floor(work.percent)} size="small" aria-label={work.name} />}
    </div>
  );
}
