// Take the rows away in a format of one's choice, or split them into train and held-out.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, InputNumber, Select } from "antd";
import { useState } from "react";
import { useNavigate } from "react-router";
import {
  datasetFormatsRetrieveOptions,
  datasetVersionsExportCreateMutation,
  datasetVersionsExportListOptions,
  datasetVersionsSplitCreateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetExportIn, DatasetExportOut, DatasetVersionOut } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { local } from "@/api/upload";
import { useMay } from "@/shell/session";
import { bytes, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Phase } from "@/ui/Phase";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function Exports({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const path = { version_id: version.id };
  const operates = useMay()("datasets", "operate");
  const [format, setFormat] = useState<DatasetExportIn["format"]>("openai");
  const formats = useQuery({ ...datasetFormatsRetrieveOptions(), staleTime: Infinity });
  const made = useQuery({ ...datasetVersionsExportListOptions({ path }), refetchInterval: live });
  const start = useMutation(datasetVersionsExportCreateMutation());
  const chosen = formats.data?.formats.find((each) => each.name === format);
  return (
    <div className="page-body">
      <ListTable<DatasetExportOut>
        label={t("tab.export")}
        rows={made.data?.data}
        rowKey={(row) => row.id}
        refusal={made.error && refusalOf(made.error)}
        empty={t("export.none")}
        filters={operates && (
          <>
            <Select
              aria-label={t("export.format")}
              value={format}
              onChange={setFormat}
              popupMatchSelectWidth={false}
              options={formats.data?.formats.map((each) => ({ value: each.name as DatasetExportIn["format"], label: each.title })) ?? []}
            />
            <Button type="primary" loading={start.isPending} onClick={() => start.mutate({ path, body: { format } })}>
              {t("export.start")}
            </Button>
            {chosen !== undefined && chosen.cannot_carry !== "" && <span>{t("export.cannot", { what: chosen.cannot_carry })}</span>}
          </>
        )}
        columns={[
          { title: t("format"), dataIndex: "format" },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("rows"), dataIndex: "rows", align: "end" },
          { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
          {
            title: tui("actions"),
            render: (_, row) => row.download !== null && <a href={local(row.download.url)} download={row.download.filename}>{t("export.download")}</a>,
          },
        ]}
      />
      {operates && version.phase !== "invalid" && <Split version={version} />}
    </div>
  );
}

function Split({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const navigate = useNavigate();
  const split = useMutation({
    ...datasetVersionsSplitCreateMutation(),
    onSuccess: () => void navigate(`/data/${version.dataset_id}`),
  });
  return (
    <section className="card" aria-label={t("split.title")}>
      <strong>{t("split.title")}</strong>
      <p>{t("split.hint")}</p>
      <Form
        layout="inline"
        initialValues={{ percent: 20 }}
        onFinish={({ percent }: { percent: number }) =>
          split.mutate({ path: { version_id: version.id }, body: { ratio: percent / 100 } })
        }
      >
        <Form.Item name="percent" label={t("split.ratio")} rules={[{ required: true }]}>
          <InputNumber min={1} max={90} suffix="%" />
        </Form.Item>
        <Button htmlType="submit" loading={split.isPending}>
          {t("split.start")}
        </Button>
      </Form>
    </section>
  );
}
