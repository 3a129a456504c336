// Take the weights away: packed with hashes and lineage, as they are or merged into the base.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Select } from "antd";
import { useState } from "react";
import { modelVersionsExportsCreateMutation, modelVersionsExportsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { ModelExportOut, ModelVersionDetailOut } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { local } from "@/api/upload";
import { useMay } from "@/shell/session";
import { bytes, Hash, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Phase } from "@/ui/Phase";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function Exports({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const path = { version_id: version.id };
  const may = useMay();
  const [form, setForm] = useState<"as_is" | "merged">("as_is");
  const made = useQuery({ ...modelVersionsExportsListOptions({ path }), refetchInterval: live });
  const start = useMutation(modelVersionsExportsCreateMutation());
  return (
    <ListTable<ModelExportOut>
      label={t("tab.export")}
      rows={made.data?.data}
      rowKey={(row) => row.id}
      refusal={made.error && refusalOf(made.error)}
      empty={t("export.none")}
      filters={may("models", "operate") && (
        <>
          <Select
            aria-label={t("export.form")}
            value={form}
            onChange={setForm}
            popupMatchSelectWidth={false}
            options={[
              { value: "as_is", label: t("export.as_is") },
              ...(version.kind === "adapter" ? [{ value: "merged" as const, label: t("export.merged") }] : []),
            ]}
          />
          <Button type="primary" loading={start.isPending} onClick={() => start.mutate({ path, body: { form } })}>
            {t("export.start")}
          </Button>
        </>
      )}
      columns={[
        { title: t("export.form"), render: (_, row) => t(`export.${row.form}`) },
        { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
        { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
        { title: t("hash"), render: (_, row) => <Hash value={row.sha256} /> },
        { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        { title: tui("actions"), render: (_, row) => row.address !== "" && <a href={local(row.address)} download>{t("export.download")}</a> },
      ]}
    />
  );
}
