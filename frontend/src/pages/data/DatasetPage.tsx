// One dataset: its versions, newest first, and a place to drop the next one.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "react-router";
import { usePager } from "@/api/cursor";
import { datasetsDestroyMutation, datasetsRetrieveOptions, datasetsVersionsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { datasetsVersionsCreate } from "@/api/generated/sdk.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { uploadDataset } from "@/api/uploads";
import { Danger } from "@/ui/Danger";
import { DropFile } from "@/ui/DropFile";
import { bytes, count, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export default function DatasetPage() {
  const t = words.use();
  const tui = uiWords.use();
  const navigate = useNavigate();
  const pager = usePager();
  const path = { dataset_id: useParams().id ?? "" };
  const dataset = useQuery(datasetsRetrieveOptions({ path }));
  const versions = useQuery({
    ...datasetsVersionsListOptions({ path, query: { limit: 20, cursor: pager.cursor } }),
    refetchInterval: live,
  });
  const remove = useMutation({ ...datasetsDestroyMutation(), onSuccess: () => void navigate("/data") });
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
      actions={<Danger name={name} breaks={t("delete.dataset")} busy={remove.isPending} onConfirm={() => remove.mutate({ path })} />}
    >
      <DropFile title={t("version.new")} hint={t("new.file.hint")} onFile={(file) => add.mutate(file)} />
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
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("rows"), align: "end", render: (_, row) => <span className="number">{count(row.rows)}</span> },
          { title: t("faults"), align: "end", render: (_, row) => <span className="number">{count(row.fault_count)}</span> },
          { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
          { title: t("format"), dataIndex: "format" },
          { title: t("made_by"), dataIndex: "made_by" },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}
