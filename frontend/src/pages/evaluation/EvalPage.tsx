// One evaluation: where it stands, its scoreboard, the gate's findings, and every row.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Space, Tabs } from "antd";
import { useParams } from "react-router";
import { useFilter } from "@/api/cursor";
import { useLog } from "@/api/follow";
import {
  evalsCancelCreateMutation,
  evalsDestroyMutation,
  evalsEventsListOptions,
  evalsResumeCreateMutation,
  evalsRetrieveOptions,
  evalsRetryCreateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import { evalsLogsRetrieve } from "@/api/generated/sdk.gen";
import type { EvalIn, EvalOut } from "@/api/generated/types.gen";
import { GONE, useLeave } from "@/api/leave";
import { atRest, cancellable, live, pace } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { Facts } from "@/ui/Facts";
import { count, dateTime, Hash } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { EventList } from "@/ui/runs/EventList";
import { LogView } from "@/ui/runs/LogView";
import { RunBar } from "@/ui/runs/RunBar";
import "@/ui/runs/runs.css";
import { Sure } from "@/ui/runs/Sure";
import { Board } from "./Board";
import { codeOf } from "./code";
import "./evaluation.css";
import { RowsPanel } from "./RowsPanel";
import { words } from "./words";

export default function EvalPage() {
  const t = words.use();
  const path = { run_id: useParams().id ?? "" };
  const [tab, setTab] = useFilter("tab");
  const found = useQuery({ ...evalsRetrieveOptions({ path }), refetchInterval: live });
  const above = [{ to: "/evaluation", title: t("title") }];
  if (found.data === undefined) {
    return (
      <Page title={t("title")} above={above}>
        {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      </Page>
    );
  }
  const run = found.data;
  return (
    <Page title={run.name} above={above} lead={<Phase phase={run.phase} />} actions={<Verbs run={run} />}>
      <RunBar run={run} />
      {run.trained_on_these_rows.length > 0 && <Alert type="warning" showIcon title={t("taught", { names: run.trained_on_these_rows.join(" · ") })} />}
      <Facts
        label={t("facts")}
        facts={[
          [t("candidates"), run.candidates.map((each) => each.name).join(" · ")],
          [t("data"), <span key="d">{run.dataset.name} <Hash value={run.dataset.sha256} length={8} /></span>],
          [t("max_tokens"), count(run.max_tokens)],
          [t("created"), `${dateTime(run.created_at)} · ${run.made_by}`],
          [t("failed_rows"), run.summary.failed_rows ?? "–"],
        ]}
      />
      <Tabs
        activeKey={tab ?? "board"}
        onChange={(key) => setTab(key === "board" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "board", label: t("board"), children: <Board run={run} /> },
          ...(run.phase === "succeeded" ? [{ key: "rows", label: t("rows"), children: <RowsPanel run={run} /> }] : []),
          { key: "events", label: t("events"), children: <Events run={run} /> },
          { key: "logs", label: t("logs"), children: <Logs run={run} /> },
          { key: "code", label: t("code"), children: <CodeTabs samples={codeOf(asked(run))} /> },
        ]}
      />
    </Page>
  );
}

const asked = (run: EvalOut): EvalIn => ({
  name: run.name,
  candidates: run.candidates.map((each) => each.version_id),
  dataset: run.dataset.version_id,
  metrics: run.metrics as NonNullable<EvalIn["metrics"]>,
  max_tokens: run.max_tokens,
  gate: run.gate,
});

function Verbs({ run }: { run: EvalOut }) {
  const t = words.use();
  const leave = useLeave();
  const may = useMay();
  const path = { run_id: run.id };
  const cancel = useMutation(evalsCancelCreateMutation());
  const resume = useMutation(evalsResumeCreateMutation());
  const retry = useMutation(evalsRetryCreateMutation());
  const remove = useMutation({ ...evalsDestroyMutation(), meta: GONE, onSuccess: () => void leave("/evaluation") });
  const operates = may("evaluation", "operate");
  const resting = atRest(run.phase);
  return (
    <Space wrap>
      {operates && run.phase === "paused" && (
        <Sure label={t("resume")} what={t("resume.what", { name: run.name })} breaks={t("resume.breaks")} busy={resume.isPending} onConfirm={() => resume.mutate({ path })} />
      )}
      {operates && cancellable(run.phase) && (
        <Sure danger label={t("cancel")} what={t("cancel.what", { name: run.name })} breaks={t("cancel.breaks")} busy={cancel.isPending} onConfirm={() => cancel.mutate({ path })} />
      )}
      {operates && (run.phase === "failed" || run.phase === "cancelled") && run.recoverable && (
        <Sure label={t("retry")} what={t("retry.what", { name: run.name })} breaks={t("retry.breaks")} busy={retry.isPending} onConfirm={() => retry.mutate({ path })} />
      )}
      {resting && may("evaluation", "full") && <Danger name={run.name} breaks={t("delete.breaks")} busy={remove.isPending} onConfirm={() => remove.mutate({ path })} />}
    </Space>
  );
}

function Events({ run }: { run: EvalOut }) {
  const found = useQuery({ ...evalsEventsListOptions({ path: { run_id: run.id }, query: { limit: 200 } }), refetchInterval: () => (atRest(run.phase) ? false : pace(3_000)) });
  return found.error ? <Refused refusal={refusalOf(found.error)} /> : <EventList events={found.data?.data} />;
}

function Logs({ run }: { run: EvalOut }) {
  const found = useLog(["evalsLogs", run.id, run.attempt], async (cursor) => {
    const query = cursor === undefined ? {} : { cursor };
    return (await evalsLogsRetrieve({ path: { run_id: run.id }, query, throwOnError: true })).data;
  });
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  return <LogView lines={found.data?.lines ?? []} live={found.data?.live ?? false} />;
}
