// One version of a model: what it is, where it came from, its files, recipe, exports and history.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Table, Tabs } from "antd";
import { useNavigate, useParams } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import {
  modelVersionsDestroyMutation,
  modelVersionsEventsListOptions,
  modelVersionsRestoreMutation,
  modelVersionsRetrieveOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionDetailOut } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { EventTable } from "@/ui/EventTable";
import { Facts } from "@/ui/Facts";
import { bytes, Hash, short, tokens, When } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { said } from "@/ui/said";
import { Sure } from "@/ui/runs/Sure";
import { useUndo } from "@/ui/useUndo";
import { words as uiWords } from "@/ui/words";
import { CompareVersions } from "./CompareVersions";
import { Exports } from "./Exports";
import { Lineage } from "./Lineage";
import { words } from "./words";

export default function VersionPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const [tab, setTab] = useFilter("tab");
  const path = { version_id: useParams().version ?? "" };
  const found = useQuery({ ...modelVersionsRetrieveOptions({ path }), refetchInterval: live });
  const version = found.data;
  if (found.error) return <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />;
  if (version === undefined) return null;
  return (
    <Page
      title={version.reference}
      above={[
        { to: "/models", title: t("title") },
        { to: `/models/${version.model_id}`, title: version.model },
      ]}
      actions={may("models", "full") && <Remove version={version} />}
    >
      <Faults version={version} />
      <Facts
        facts={[
          [tui("status"), <Phase key="phase" phase={version.phase} reason={version.reason} />],
          [t("kind"), t(`kind.${version.kind}`)],
          [t("parameters"), short(version.parameters)],
          [tui("size"), bytes(version.size_bytes)],
          [t("architecture"), version.architecture || "–"],
          [t("dtype"), version.dtype || "–"],
          [t("context"), tokens(version.context_length)],
          [t("vocabulary"), tokens(version.vocabulary_size)],
          [t("licence"), version.licence || "–"],
          [t("hash"), <Hash key="hash" value={version.sha256} />],
          [t("tracker"), <Hash key="run" value={version.tracking_run} />],
          [t("held"), version.held_by.map(said).join(" · ") || tui("none")],
          [tui("created"), <When key="made" at={version.created_at} />],
        ]}
      />
      <Tabs
        activeKey={tab ?? "lineage"}
        onChange={setTab}
        destroyOnHidden
        items={[
          { key: "lineage", label: t("tab.lineage"), children: <Lineage version={version} /> },
          { key: "files", label: t("tab.files", { n: Object.keys(version.files).length }), children: <Files version={version} /> },
          { key: "recipe", label: t("tab.recipe"), children: <Recipe version={version} /> },
          { key: "compare", label: t("compare"), children: <CompareVersions version={version} /> },
          { key: "export", label: t("tab.export"), children: <Exports version={version} /> },
          { key: "events", label: t("tab.events"), children: <Events versionId={version.id} /> },
        ]}
      />
    </Page>
  );
}

function Faults({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  return (
    <>
      {version.faults.length > 0 && (
        <Alert
          type="error"
          showIcon
          title={version.reason}
          description={
            <ul>
              {version.faults.map((each, index) => (
                <li key={index}>
                  <code>{each.field}</code> {each.rule}
                  {each.fix !== "" && (
                    <div>
                      {t("fault.fix")}: {each.fix}
                    </div>
                  )}
                </li>
              ))}
            </ul>
          }
        />
      )}
      {version.notices.map((each) => (
        <Alert key={each} type="info" showIcon title={each} />
      ))}
    </>
  );
}

function Files({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const rows = Object.entries(version.files).map(([name, file]) => ({ name, ...file }));
  return (
    <Table
      size="middle"
      rowKey="name"
      dataSource={rows}
      pagination={false}
      scroll={{ x: "max-content" }}
      columns={[
        { title: t("file"), render: (_, row) => <span className="mono">{row.name}</span> },
        { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
        { title: t("hash"), render: (_, row) => <Hash value={row.sha256} length={16} /> },
      ]}
    />
  );
}

function Recipe({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  return (
    <div className="grid2">
      <section className="card" aria-label={t("metrics")}>
        <strong>{t("metrics")}</strong>
        <pre className="code mono">{JSON.stringify(version.metrics, null, 2)}</pre>
      </section>
      <section className="card" aria-label={t("recipe")}>
        <strong>{t("recipe")}</strong>
        <pre className="code mono">{JSON.stringify(version.recipe, null, 2)}</pre>
      </section>
    </div>
  );
}

function Events({ versionId }: { versionId: string }) {
  const pager = usePager();
  const found = useQuery(modelVersionsEventsListOptions({ path: { version_id: versionId }, query: { limit: 50, cursor: pager.cursor } }));
  return <EventTable events={found.data?.data} refusal={found.error && refusalOf(found.error)} pager={pager} nextCursor={found.data?.next_cursor} />;
}

/** A ready version goes into the bin and comes back from it; what never became ready is deleted for good. */
function Remove({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const navigate = useNavigate();
  const undo = useUndo();
  const path = { version_id: version.id };
  const name = version.reference;
  const restore = useMutation(modelVersionsRestoreMutation());
  const remove = useMutation({
    ...modelVersionsDestroyMutation(),
    onSuccess: (_, { query }) => {
      void navigate(`/models/${version.model_id}`);
      if (query?.bin === true) undo(tui("bin.done", { name }), () => restore.mutate({ path }));
    },
  });
  if (version.phase === "binned")
    return <Sure label={tui("restore")} what={tui("restore.what", { name })} breaks={tui("restore.breaks")} busy={restore.isPending} onConfirm={() => restore.mutate({ path })} />;
  if (version.phase === "ready")
    return <Sure danger label={tui("bin.put")} what={tui("bin.put.what", { name })} breaks={t("bin.version")} busy={remove.isPending} onConfirm={() => remove.mutate({ path, query: { bin: true } })} />;
  return <Danger name={name} breaks={t("delete.version")} busy={remove.isPending} onConfirm={() => remove.mutate({ path })} />;
}
