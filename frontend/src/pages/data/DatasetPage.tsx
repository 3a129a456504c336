// One dataset: its versions, newest first, and a place to drop the next one.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input } from "antd";
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { changedBy, seen, upon } from "@/api/editing";
import { usePager } from "@/api/cursor";
import { datasetsDestroyMutation, datasetsPartialUpdateMutation, datasetsRestoreMutation, datasetsRetrieveOptions, datasetsVersionsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { datasetsRetrieve, datasetsVersionsCreate } from "@/api/generated/sdk.gen";
import type { PatchedDatasetEditIn } from "@/api/generated/types.gen";
import { GONE, useLeave } from "@/api/leave";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { uploadDataset } from "@/api/uploads";
import { useMay } from "@/shell/session";
import { DropFile } from "@/ui/DropFile";
import { FormDialog } from "@/ui/FormDialog";
import { bytes, count, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { Sure } from "@/ui/runs/Sure";
import { useUndo } from "@/ui/useUndo";
import { words as uiWords } from "@/ui/words";
import { originOf } from "./origin";
import { words } from "./words";

export default function DatasetPage() {
  const t = words.use();
  const tui = uiWords.use();
  const navigate = useNavigate();
  const pager = usePager();
  const may = useMay();
  const path = { dataset_id: useParams().id ?? "" };
  // Once it is on its way into the bin nothing of it is asked for: it would not be found.
  const [going, setGoing] = useState(false);
  const dataset = useQuery({ ...datasetsRetrieveOptions({ path }), enabled: !going });
  const versions = useQuery({
    ...datasetsVersionsListOptions({ path, query: { limit: 20, cursor: pager.cursor, order: pager.order } }),
    refetchInterval: live,
    enabled: !going,
  });
  const describe = useMutation({ ...datasetsPartialUpdateMutation(), meta: { quiet: true } });
  const undo = useUndo();
  const leave = useLeave();
  const restore = useMutation(datasetsRestoreMutation());
  const remove = useMutation({
    ...datasetsDestroyMutation(),
    meta: GONE,
    onMutate: () => setGoing(true),
    onError: () => setGoing(false),
    onSuccess: () => {
      void leave("/data");
      undo(tui("bin.done", { name: dataset.data?.name ?? "" }), () => restore.mutate({ path }));
    },
  });
  const add = useMutation({
    mutationFn: async (file: File) => {
      const { data: version } = await datasetsVersionsCreate({ path, body: {}, throwOnError: true });
      void uploadDataset(version.id, file).catch(() => undefined);
      return version.id;
    },
    onSuccess: (id) => void navigate(`versions/${id}`),
  });
  if (dataset.error) return <Refused refusal={refusalOf(dataset.error)} onRetry={() => void dataset.refetch()} />;
  const name = dataset.data?.name ?? "…";
  return (
    <Page
      title={name}
      lead={dataset.data?.description}
      above={[{ to: "/data", title: t("title") }]}
      actions={
        <>
          {may("datasets", "operate") && (
            <FormDialog<PatchedDatasetEditIn>
              label={tui("edit")}
              title={t("describe", { name })}
              send={tui("save")}
              load={() => seen(datasetsRetrieve({ path, throwOnError: true }))}
              changedBy={() => changedBy(path.dataset_id)}
              onSubmit={(body, tag) => describe.mutateAsync({ path, body, headers: upon(tag) })}
            >
              <Form.Item name="description" label={t("description")}>
                <Input.TextArea rows={4} maxLength={2000} showCount />
              </Form.Item>
            </FormDialog>
          )}
          {may("datasets", "full") && <Sure danger label={tui("bin.put")} what={tui("bin.put.what", { name })} breaks={t("bin.dataset")} busy={remove.isPending} onConfirm={() => remove.mutate({ path, query: { bin: true } })} />}
        </>
      }
    >
      {may("datasets", "operate") && <DropFile title={t("version.new")} hint={t("new.file.hint")} onFile={(file) => add.mutate(file)} />}
      <ListTable
        label={t("versions")}
        rows={versions.data?.data}
        rowKey={(row) => row.id}
        refusal={versions.error && refusalOf(versions.error)}
        pager={pager}
        nextCursor={versions.data?.next_cursor}
        empty={t("versions.empty")}
        columns={[
          { title: t("versions"), render: (_, row) => <Link to={`versions/${row.id}`}>{t("version", { n: row.number })}</Link> },
          { title: t("origin"), render: (_, row) => originOf(row.source, t) || row.note },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("rows"), align: "end", render: (_, row) => <span className="number">{count(row.rows)}</span> },
          { title: t("faults"), align: "end", render: (_, row) => <span className="number">{count(row.fault_count)}</span> },
          { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
          { title: t("format"), dataIndex: "format" },
          { title: t("made_by"), dataIndex: "made_by" },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}
