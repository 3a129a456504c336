// One fine-tune: where it stands and why, what it learns, what it left behind, and the verbs of its life.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Space, Table, Tabs } from "antd";
import { Link, useParams } from "react-router";
import { useFilter } from "@/api/cursor";
import { useLog } from "@/api/follow";
import {
  jobsCancelCreateMutation,
  jobsCheckpointsRetrieveOptions,
  jobsDestroyMutation,
  jobsEventsListOptions,
  jobsPauseCreateMutation,
  jobsResumeCreateMutation,
  jobsRetrieveOptions,
  jobsRetryCreateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import { jobsLogsRetrieve } from "@/api/generated/sdk.gen";
import type { JobOut, MethodEnum, ScaleEnum } from "@/api/generated/types.gen";
import { GONE, useLeave } from "@/api/leave";
import { atRest, cancellable, live, pace, pausable } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { language } from "@/i18n";
import { useMay } from "@/shell/session";
import { amount } from "@/pages/money/amount";
import { Danger } from "@/ui/Danger";
import { Facts } from "@/ui/Facts";
import { bytes, count, dateTime, Hash, seconds, When } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { EventList } from "@/ui/runs/EventList";
import { LinkButton } from "@/ui/runs/LinkButton";
import { LogView } from "@/ui/runs/LogView";
import { RunBar } from "@/ui/runs/RunBar";
import "@/ui/runs/runs.css";
import { Sure } from "@/ui/runs/Sure";
import { codeOf } from "./code";
import { CurvesPanel } from "./CurvesPanel";
import { Resources } from "./Resources";
import "./training.css";
import { words } from "./words";

export default function JobPage() {
  const t = words.use();
  const path = { job_id: useParams().id ?? "" };
  const [tab, setTab] = useFilter("tab");
  const found = useQuery({ ...jobsRetrieveOptions({ path }), refetchInterval: live });
  const above = [{ to: "/training", title: t("title") }];
  if (found.data === undefined) {
    return (
      <Page title={t("title")} above={above}>
        {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      </Page>
    );
  }
  const job = found.data;
  return (
    <Page title={job.name} above={above} lead={<Phase phase={job.phase} />} actions={<Verbs job={job} />}>
      <RunBar run={job} />
      <Tabs
        activeKey={tab ?? "overview"}
        onChange={(key) => setTab(key === "overview" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "overview", label: t("overview"), children: <Overview job={job} /> },
          { key: "parameters", label: t("parameters"), children: <Parameters job={job} /> },
          { key: "checkpoints", label: t("checkpoints"), children: <Checkpoints job={job} /> },
          { key: "resources", label: t("used"), children: <Resources job={job} /> },
          { key: "events", label: t("events"), children: <Events job={job} /> },
          { key: "logs", label: t("logs"), children: <Logs job={job} /> },
          { key: "code", label: t("code"), children: <CodeTabs samples={codeOf(asked(job))} /> },
        ]}
      />
    </Page>
  );
}

const asked = (job: JobOut) => ({
  name: job.name,
  base: job.base.version_id,
  dataset: job.dataset.version_id,
  held_out: job.held_out?.version_id ?? null,
  model: job.model,
  method: job.method as MethodEnum,
  scale: job.scale as ScaleEnum,
  grader: job.grader,
  hyperparameters: job.given,
  seed: job.seed,
  workers: job.workers,
});

function Verbs({ job }: { job: JobOut }) {
  const t = words.use();
  const leave = useLeave();
  const may = useMay();
  const path = { job_id: job.id };
  const cancel = useMutation(jobsCancelCreateMutation());
  const pause = useMutation(jobsPauseCreateMutation());
  const resume = useMutation(jobsResumeCreateMutation());
  const retry = useMutation(jobsRetryCreateMutation());
  const remove = useMutation({ ...jobsDestroyMutation(), meta: GONE, onSuccess: () => void leave("/training") });
  const operates = may("training", "operate");
  const resting = atRest(job.phase);
  return (
    <Space wrap>
      {job.result_version_id !== null && (
        <>
          {may("evaluation", "operate") && <LinkButton to={`/evaluation/new?candidates=${job.base.version_id},${job.result_version_id}${job.held_out === null ? "" : `&dataset=${job.held_out.version_id}`}`}>{t("judge")}</LinkButton>}
          {may("deployments", "operate") && <LinkButton to={`/deployments/new?model=${job.result_version_id}`}>{t("deploy")}</LinkButton>}
        </>
      )}
      {operates && <LinkButton to={`/training/new?like=${job.id}`}>{t("again")}</LinkButton>}
      {operates && pausable(job.phase) && (
        <Sure label={t("pause")} what={t("pause.what", { name: job.name })} breaks={t("pause.breaks")} busy={pause.isPending} onConfirm={() => pause.mutate({ path })} />
      )}
      {operates && job.phase === "paused" && (
        <Sure label={t("resume")} what={t("resume.what", { name: job.name })} breaks={t("resume.breaks")} busy={resume.isPending} onConfirm={() => resume.mutate({ path })} />
      )}
      {operates && cancellable(job.phase) && (
        <Sure danger label={t("cancel")} what={t("cancel.what", { name: job.name })} breaks={t("cancel.breaks")} busy={cancel.isPending} onConfirm={() => cancel.mutate({ path })} />
      )}
      {operates && (job.phase === "failed" || job.phase === "cancelled") && job.recoverable && (
        <Sure label={t("retry")} what={t("retry.what", { name: job.name })} breaks={t("retry.breaks")} busy={retry.isPending} onConfirm={() => retry.mutate({ path })} />
      )}
      {resting && may("training", "full") && <Danger name={job.name} breaks={t("delete.breaks")} busy={remove.isPending} onConfirm={() => remove.mutate({ path })} />}
    </Space>
  );
}

function Overview({ job }: { job: JobOut }) {
  const t = words.use();
  const compared = Object.entries(job.compared ?? {});
  const figure = (what: string, value: number | null) =>
    value === null ? "–" : what === "price" ? amount(value.toFixed(2), job.estimate.currency) : what === "seconds" ? seconds(value) : what.endsWith("bytes") ? bytes(value) : count(value);
  const said = (what: string) => (what === "seconds" || what === "tokens" || what === "steps" || what === "memory_bytes" || what === "price" ? t(what) : what);
  return (
    <div className="stack">
      <CurvesPanel job={job} />
      <Facts
        label={t("facts")}
        facts={[
          [t("base"), <Link key="b" to={`/models/-/versions/${job.base.version_id}`}>{job.base.name}</Link>],
          [t("data"), <span key="d">{job.dataset.name} <Hash value={job.dataset.sha256} length={8} /></span>],
          [t("held_out"), job.held_out?.name ?? t("held_out.none")],
          [
            t("result"),
            job.result_version_id === null ? `${job.model} (${t("missing")})` : <Link key="r" to={`/models/-/versions/${job.result_version_id}`}>{job.model}</Link>,
          ],
          [t("method"), `${job.method} · ${job.scale}`],
          [t("price"), job.price === null ? t("missing") : amount(job.price, job.estimate.currency)],
          [t("created"), <span key="c">{dateTime(job.created_at)} · {job.made_by}</span>],
          [t("seed"), job.seed],
          [t("workers"), job.workers],
          ...(job.grader === null ? [] : [[t("grader"), <pre key="g" className="code mono">{JSON.stringify(job.grader, null, 2)}</pre>] as [string, React.ReactNode]]),
          [t("tracking"), job.tracking_run === "" ? "–" : <Hash key="t" value={job.tracking_run} />],
        ]}
      />
      {compared.length > 0 && (
        <Table
          size="small"
          pagination={false}
          title={() => t("compared")}
          rowKey={([what]) => what}
          dataSource={compared}
          columns={[
            { title: t("compared.what"), render: (_, [what]) => said(what) },
            { title: t("compared.estimate"), align: "right", render: (_, [what, each]) => figure(what, each.estimate) },
            { title: t("compared.actual"), align: "right", render: (_, [what, each]) => figure(what, each.actual) },
          ]}
        />
      )}
    </div>
  );
}

function Parameters({ job }: { job: JobOut }) {
  const speak = language();
  return (
    <Facts
      facts={Object.entries(job.hyperparameters).map(([key, value]) => [
        key,
        <span key={key}>
          <strong className="number">{typeof value === "string" ? value : JSON.stringify(value)}</strong>
          {job.why[key] !== undefined && <div className="quiet">{job.why[key][speak]}</div>}
        </span>,
      ])}
    />
  );
}

function Checkpoints({ job }: { job: JobOut }) {
  const t = words.use();
  const found = useQuery({ ...jobsCheckpointsRetrieveOptions({ path: { job_id: job.id } }), refetchInterval: () => (atRest(job.phase) ? false : pace(5_000)) });
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  const rows = found.data?.data ?? [];
  const names = [...new Set(rows.flatMap((each) => Object.keys(each.values ?? {})))].filter((name) => /loss|accuracy|^(held_out_)?reward$|^kl$/.test(name));
  return (
    <Table
      size="small"
      pagination={false}
      scroll={{ x: "max-content", y: 480 }}
      rowKey="id"
      dataSource={[...rows].reverse()}
      loading={found.isPending}
      locale={{ emptyText: t("checkpoint.none") }}
      columns={[
        { title: t("checkpoint.step"), dataIndex: "step" },
        ...names.map((name) => ({
          title: name,
          align: "right" as const,
          render: (_: unknown, row: (typeof rows)[number]) => (row.values as Record<string, number | undefined>)[name]?.toPrecision(4) ?? "–",
        })),
        { title: t("created"), render: (_, row) => <When at={row.at} /> },
        // A LoRA's checkpoint answers by name where its base is deployed, while the job still runs.
        ...(job.scale === "lora"
          ? [
              {
                title: t("checkpoint.chat"),
                render: (_: unknown, row: (typeof rows)[number]) => (
                  <LinkButton size="small" to={`/playground?models=${encodeURIComponent(`${job.model}:ckpt-step-${row.step}`)}`}>
                    {t("checkpoint.chat")}
                  </LinkButton>
                ),
              },
            ]
          : []),
      ]}
    />
  );
}

function Events({ job }: { job: JobOut }) {
  const found = useQuery({
    ...jobsEventsListOptions({ path: { job_id: job.id }, query: { limit: 200 } }),
    refetchInterval: () => (atRest(job.phase) ? false : pace(3_000)),
  });
  return found.error ? <Refused refusal={refusalOf(found.error)} /> : <EventList events={found.data?.data} />;
}

function Logs({ job }: { job: JobOut }) {
  const found = useLog(["jobsLogs", job.id, job.attempt], async (cursor) => {
    const query = cursor === undefined ? {} : { cursor };
    return (await jobsLogsRetrieve({ path: { job_id: job.id }, query, throwOnError: true })).data;
  });
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  return <LogView lines={found.data?.lines ?? []} live={found.data?.live ?? false} />;
}
