// One deployment: whether it answers and why not, what answers, and how to change and call it.
import { useQuery } from "@tanstack/react-query";
import { Alert, Table, Tabs } from "antd";
import { Link, useParams } from "react-router";
import { useFilter } from "@/api/cursor";
import { useLog } from "@/api/follow";
import {
  deploymentsEventsListOptions,
  deploymentsRetrieveOptions,
  deploymentsRevisionsListOptions,
  trafficListOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import { deploymentsLogsRetrieve } from "@/api/generated/sdk.gen";
import type { DeploymentOut } from "@/api/generated/types.gen";
import { live, pace } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { count, seconds, tokens, When } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { Shares } from "@/ui/Shares";
import { chatCode } from "@/ui/runs/chatCode";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { EventList } from "@/ui/runs/EventList";
import { LogView } from "@/ui/runs/LogView";
import "@/ui/runs/runs.css";
import { words as uiWords } from "@/ui/words";
import { said } from "@/ui/said";
import { Change, Verbs } from "./Change";
import "./deployments.css";
import { RuleDialog, RuleVerbs } from "./Routing";
import { SleepDialog } from "./Sleep";
import { TestBox } from "./TestBox";
import { Traffic } from "./Traffic";
import { words } from "./words";

export default function DeploymentPage() {
  const t = words.use();
  const operates = useMay()("deployments", "operate");
  const path = { deployment_id: useParams().id ?? "" };
  const [tab, setTab] = useFilter("tab");
  const found = useQuery({ ...deploymentsRetrieveOptions({ path }), refetchInterval: live });
  const above = [{ to: "/deployments", title: t("title") }];
  if (found.data === undefined) {
    return (
      <Page title={t("title")} above={above}>
        {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      </Page>
    );
  }
  const it = found.data;
  const { serving, coming } = it;
  const version = (of: typeof serving) =>
    of === null ? "–" : (
      <span>
        <Link to={`/models/-/versions/${of.version_id}`}>{of.model}</Link> <span className="quiet">{t("revision", { n: of.number })}</span>
      </span>
    );
  return (
    <Page title={it.name} above={above} lead={<Phase phase={it.phase} />} {...(operates && { actions: <Verbs deployment={it} /> })}>
      {it.reason !== "" && <Alert showIcon type={it.phase === "failed" || it.phase === "unhealthy" ? "error" : "info"} title={said(it.reason)} />}
      {coming !== null && coming.reason !== "" && coming.reason !== it.reason && <Alert showIcon type="info" title={`${coming.model}: ${said(coming.reason)}`} />}
      <Facts
        label={t("facts")}
        facts={[
          [t("version"), version(serving)],
          [t("coming"), version(coming)],
          [t("replicas"), t("replicas.of", { up: it.endpoints, wanted: it.replicas })],
          [t("context"), serving === null ? "–" : tokens(serving.context_length)],
          [t("drain"), seconds(it.drain_seconds)],
          [t("engine"), it.engine],
          [t("capacity.label"), t("capacity", { n: count(it.at_once), queue: count(it.queue) })],
          [
            t("sleep.label"),
            <span key="sleep" className="verbs">
              {it.sleep_after_seconds === null ? t("never") : t("sleep.after", { time: seconds(it.sleep_after_seconds) })}
              {operates && <SleepDialog deployment={it} />}
            </span>,
          ],
          [t("canary"), <Routed key="rule" name={it.name} />],
          [t("by"), it.made_by],
          [t("created"), <When key="at" at={it.created_at} />],
          ...(it.down_at === null ? [] : [[t("down"), <When key="down" at={it.down_at} />] as [string, React.ReactNode]]),
        ]}
      />
      {operates && (it.phase === "live" || it.phase === "updating" || it.phase === "unhealthy") && <Change deployment={it} />}
      <Tabs
        activeKey={tab ?? "test"}
        onChange={(key) => setTab(key === "test" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "test", label: t("test"), children: <TestBox deployment={it} /> },
          { key: "code", label: t("code"), children: <CodeTabs samples={chatCode(location.origin, it.name, [{ role: "user", content: "…" }])} /> },
          { key: "traffic", label: t("traffic"), children: <Traffic deploymentId={it.id} /> },
          { key: "revisions", label: t("revisions"), children: <Revisions deployment={it} /> },
          { key: "events", label: t("events"), children: <Events deployment={it} /> },
          { key: "logs", label: t("logs"), children: <Logs deployment={it} /> },
        ]}
      />
    </Page>
  );
}

/** By whom requests for this name are answered, where a rule says so. */
function Routed({ name }: { name: string }) {
  const t = words.use();
  const operates = useMay()("deployments", "operate");
  const found = useQuery(trafficListOptions({ query: { name } }));
  const rule = found.data?.data[0];
  if (found.error) return <>–</>;
  return (
    <span className="verbs">
      {rule === undefined ? t("rule.none") : <Shares of={rule.targets.map((each) => ({ name: each.model, percent: each.percent }))} />}
      {operates && found.data !== undefined && (rule === undefined ? <RuleDialog name={name} label={t("canary.set")} /> : <RuleVerbs rule={rule} />)}
    </span>
  );
}

function Revisions({ deployment }: { deployment: DeploymentOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const found = useQuery({ ...deploymentsRevisionsListOptions({ path: { deployment_id: deployment.id }, query: { limit: 100 } }), refetchInterval: () => pace(5_000) });
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  return (
    <Table
      size="small"
      pagination={false}
      scroll={{ x: "max-content" }}
      rowKey="id"
      loading={found.isPending}
      dataSource={found.data?.data ?? []}
      columns={[
        { title: "#", dataIndex: "number" },
        { title: t("form.model"), render: (_, row) => <Link to={`/models/-/versions/${row.version_id}`}>{row.model}</Link> },
        { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
        { title: t("replicas"), dataIndex: "replicas", align: "right" },
        { title: t("revision.crashes"), dataIndex: "crashes", align: "right" },
        { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        { title: t("revision.served"), render: (_, row) => <When at={row.served_at} /> },
        { title: t("revision.removed"), render: (_, row) => <When at={row.removed_at} /> },
      ]}
    />
  );
}

function Events({ deployment }: { deployment: DeploymentOut }) {
  const found = useQuery({ ...deploymentsEventsListOptions({ path: { deployment_id: deployment.id }, query: { limit: 200 } }), refetchInterval: () => pace(5_000) });
  return found.error ? <Refused refusal={refusalOf(found.error)} /> : <EventList events={found.data?.data} />;
}

function Logs({ deployment }: { deployment: DeploymentOut }) {
  const newest = deployment.coming?.number ?? deployment.serving?.number ?? 0;
  const found = useLog(["deploymentsLogs", deployment.id, newest], async (cursor) => {
    const query = cursor === undefined ? {} : { cursor: Number(cursor) };
    return (await deploymentsLogsRetrieve({ path: { deployment_id: deployment.id }, query, throwOnError: true })).data;
  }, () => 2_000);
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  return <LogView lines={found.data?.lines ?? []} live={found.data?.live ?? false} />;
}
