// Every fault of a version with its line, place, rule and proposed fix; and the file with the fixes made.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Select, Space, Tag } from "antd";
import { useNavigate } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { datasetVersionsCorrectedCreateMutation, datasetVersionsEditsCreateMutation, datasetVersionsFaultsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { datasetVersionsCorrectedRetrieve } from "@/api/generated/sdk.gen";
import type { DatasetFaultOut, DatasetVersionOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { local } from "@/api/upload";
import { language } from "@/i18n";
import { useMay } from "@/shell/session";
import { count } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { fixIn, foundIn } from "./fixes";
import { Mend } from "./Mend";
import { useKept } from "./useKept";
import { isRule, rules } from "./rules";
import { words } from "./words";

export function Faults({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const tr = rules.use();
  const navigate = useNavigate();
  const pager = usePager();
  const [rule, setRule] = useFilter("rule");
  const path = { version_id: version.id };
  const found = useQuery({ ...datasetVersionsFaultsRetrieveOptions({ path, query: { limit: 50, cursor: pager.cursor, rule } }), staleTime: Infinity });
  const take = useMutation({
    ...datasetVersionsCorrectedCreateMutation(),
    onSuccess: (next) => void navigate(`/data/${next.dataset_id}/versions/${next.id}`),
  });
  const download = useMutation({
    mutationFn: () => datasetVersionsCorrectedRetrieve({ path, throwOnError: true }),
    onSuccess: ({ data }) => location.assign(local(data.url)),
  });
  const { kept, set, clear, size } = useKept<string | null>(`slipway.mends.${version.id}`);
  const send = useMutation({
    ...datasetVersionsEditsCreateMutation(),
    onSuccess: (next) => {
      clear();
      void navigate(`/data/${next.dataset_id}/versions/${next.id}`);
    },
  });
  const edits = () => Object.entries(kept).map(([line, text]) => ({ line: Number(line), text }));
  const may = useMay();
  const mendable = version.phase === "invalid" && may("datasets", "operate");
  const byRule = (found.data?.by_rule ?? {}) as Record<string, number>;
  return (
    <>
      {version.phase === "invalid" && (
        <Alert
          type="warning"
          showIcon
          className="refused"
          title={t("fault.summary", { faulty: count(version.faulty_rows), dropped: count(version.dropped_rows) })}
          description={
            <Space wrap className="spaced">
              {mendable && (
                <Button type="primary" loading={take.isPending} onClick={() => take.mutate({ path })}>
                  {t("fault.take")}
                </Button>
              )}
              <Button loading={download.isPending} onClick={() => download.mutate()}>
                {t("fault.download")}
              </Button>
              {mendable && size > 0 && (
                <Button type="primary" loading={send.isPending} onClick={() => send.mutate({ path, body: { edits: edits() } })}>
                  {t("mend.send", { n: size })}
                </Button>
              )}
            </Space>
          }
        />
      )}
      <ListTable<DatasetFaultOut>
        label={t("faults")}
        rows={found.data?.data}
        rowKey={(row) => `${row.file}:${row.line}:${row.path}:${row.rule}`}
        refusal={found.error && refusalOf(found.error)}
        pager={pager}
        nextCursor={found.data?.next_cursor}
        empty={t("fault.none")}
        filters={
          Object.keys(byRule).length > 0 && (
            <Select
              aria-label={t("fault.rule")}
              value={rule ?? ""}
              onChange={setRule}
              popupMatchSelectWidth={false}
              options={[
                { value: "", label: t("fault.all") },
                ...Object.entries(byRule).map(([name, n]) => ({ value: name, label: `${name} (${count(n)})` })),
              ]}
            />
          )
        }
        columns={[
          { title: t("fault.line"), dataIndex: "line", align: "end" },
          { title: t("fault.where"), render: (_, row) => <code>{row.path}</code> },
          {
            title: t("fault.rule"),
            render: (_, row) => (
              <>
                <Tag color={row.error ? "error" : "warning"}>{row.rule}</Tag> {isRule(row.rule) ? tr(row.rule) : row.text}
                <div className="quiet">
                  {t("fault.fix")}: {fixIn(language(), row.fix)} {row.fixed && <Tag color="success">{t("fault.fixed")}</Tag>}
                </div>
              </>
            ),
          },
          ...(mendable
            ? [
                {
                  title: t("mend.column"),
                  render: (_: unknown, row: DatasetFaultOut) =>
                    row.line > 0 && <Mend versionId={version.id} fault={row} kept={kept[row.line]} onKeep={(text) => set(row.line, text)} />,
                },
              ]
            : []),
          { title: t("fault.value"), render: (_, row) => <code className="clip">{foundIn(language(), row.value)}</code> },
        ]}
      />
    </>
  );
}
