// One version of a dataset: how far it is, its rows, faults, statistics, exports and history.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Progress, Tabs } from "antd";
import { useParams } from "react-router";
import { useFilter } from "@/api/cursor";
import {
  datasetVersionsDestroyMutation,
  datasetVersionsPublishCreateMutation,
  datasetVersionsRetrieveOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetVersionOut } from "@/api/generated/types.gen";
import { GONE, useLeave } from "@/api/leave";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { uploadDataset, useUpload } from "@/api/uploads";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { DropFile } from "@/ui/DropFile";
import { Facts } from "@/ui/Facts";
import { bytes, count, Hash, When } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { said } from "@/ui/said";
import { Sending } from "@/ui/Sending";
import { words as uiWords } from "@/ui/words";
import { Compare } from "./Compare";
import "./data.css";
import { Events } from "./Events";
import { Exports } from "./Exports";
import { Faults } from "./Faults";
import { Labelling } from "./Labelling";
import { Leaks } from "./Leaks";
import { originOf } from "./origin";
import { Rows } from "./Rows";
import { Statistics } from "./Statistics";
import { words } from "./words";

const CHECKED = new Set(["valid", "invalid", "published"]);

export default function VersionPage() {
  const t = words.use();
  const versionId = useParams().version ?? "";
  const path = { version_id: versionId };
  const may = useMay();
  const leave = useLeave();
  const found = useQuery({ ...datasetVersionsRetrieveOptions({ path }), refetchInterval: live });
  const version = found.data;
  const publish = useMutation(datasetVersionsPublishCreateMutation());
  const remove = useMutation({ ...datasetVersionsDestroyMutation(), meta: GONE, onSuccess: () => void leave(`/data/${version?.dataset_id ?? ""}`) });
  if (found.error) return <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />;
  if (version === undefined) return null;
  const title = `${version.dataset}@${version.number}`;
  return (
    <Page
      title={title}
      lead={originOf(version.source, t) || version.note}
      above={[
        { to: "/data", title: t("title") },
        { to: `/data/${version.dataset_id}`, title: version.dataset },
      ]}
      actions={
        <>
          {version.phase === "valid" && may("datasets", "operate") && (
            <Button type="primary" title={t("publish.hint")} loading={publish.isPending} onClick={() => publish.mutate({ path })}>
              {t("publish")}
            </Button>
          )}
          {may("datasets", "full") && <Danger name={title} breaks={t("delete.version")} busy={remove.isPending} onConfirm={() => remove.mutate({ path })} />}
        </>
      }
    >
      <Arrival version={version} />
      <VersionFacts version={version} />
      {CHECKED.has(version.phase) && <Contents version={version} />}
    </Page>
  );
}

/** What is on its way: an upload, an import, the check. */
function Arrival({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const operates = useMay()("datasets", "operate");
  const upload = useUpload(version.id);
  const again = (file: File) => void uploadDataset(version.id, file).catch(() => undefined);
  if (upload !== undefined) {
    return (
      <>
        <Sending {...upload} onCancel={upload.cancel} />
        {upload.refusal !== null && <DropFile title={t("resume.named", { name: upload.name })} onFile={again} />}
      </>
    );
  }
  const begun = ((version.source ?? {}) as { filename?: string }).filename ?? "";
  if (version.phase === "draft" && !operates) return null;
  if (version.phase === "draft") return <DropFile title={begun === "" ? t("new.file") : t("resume.named", { name: begun })} onFile={again} />;
  if (version.phase === "failed") return <Alert type="error" showIcon title={version.reason} />;
  if (version.phase !== "importing" && version.phase !== "checking") return null;
  const percent = version.size_bytes > 0 ? Math.floor((100 * version.bytes_done) / version.size_bytes) : 0;
  return (
    <div className="card" role="status">
      {t("checking", { rows: count(version.rows_done) })}
      <Progress percent={percent} status="active" aria-label={t("checking", { rows: version.rows_done })} />
    </div>
  );
}

function VersionFacts({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const tui = uiWords.use();
  return (
    <Facts
      facts={[
        [tui("status"), <Phase key="phase" phase={version.phase} reason={version.reason} />],
        [t("rows"), count(version.rows)],
        [t("faults"), count(version.fault_count)],
        [tui("size"), bytes(version.size_bytes)],
        [t("format"), version.format || "–"],
        [t("hash"), <Hash key="hash" value={version.sha256} />],
        [tui("created"), <When key="made" at={version.created_at} />],
        [t("published"), <When key="published" at={version.published_at} />],
        [t("used_by"), version.used_by.map(said).join(" · ") || tui("none")],
      ]}
    />
  );
}

function Contents({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const [tab, setTab] = useFilter("tab");
  const may = useMay();
  const faults = version.fault_count + version.warning_count;
  return (
    <Tabs
      activeKey={tab ?? (version.phase === "invalid" ? "faults" : "rows")}
      onChange={setTab}
      destroyOnHidden
      items={[
        { key: "rows", label: t("tab.rows"), children: <Rows version={version} /> },
        { key: "faults", label: t("tab.faults", { n: count(faults) }), children: <Faults version={version} /> },
        ...(version.rows > 0 && may("datasets", "operate") ? [{ key: "label", label: t("label"), children: <Labelling version={version} /> }] : []),
        { key: "compare", label: t("diff"), children: <Compare version={version} /> },
        { key: "leaks", label: t("leaks"), children: <Leaks version={version} /> },
        { key: "statistics", label: t("tab.statistics"), children: <Statistics version={version} /> },
        { key: "export", label: t("tab.export"), children: <Exports version={version} /> },
        { key: "events", label: t("tab.events"), children: <Events versionId={version.id} /> },
      ]}
    />
  );
}
