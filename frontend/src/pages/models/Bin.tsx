// Model versions that were deleted: brought back, or deleted for good.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Space } from "antd";
import { listed, usePager } from "@/api/cursor";
import { modelVersionsDestroyMutation, modelVersionsListOptions, modelVersionsRestoreMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { bytes, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function Bin() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager();
  const found = useQuery(modelVersionsListOptions({ query: { limit: 20, cursor: pager.cursor, phase: "binned" } }));
  const restore = useMutation(modelVersionsRestoreMutation());
  const remove = useMutation(modelVersionsDestroyMutation());
  return (
    <ListTable<ModelVersionOut>
      label={tui("bin")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      empty={tui("bin.empty")}
      columns={[
        { title: tui("name"), dataIndex: "reference" },
        { title: t("kind"), render: (_, row) => t(`kind.${row.kind}`) },
        { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
        { title: tui("bin.since"), render: (_, row) => <When at={row.binned_at} /> },
        {
          title: tui("actions"),
          render: (_, row) =>
            may("models", "full") && (
              <Space>
                <Sure label={tui("restore")} what={tui("restore.what", { name: row.reference })} breaks={tui("restore.breaks")} onConfirm={() => restore.mutate({ path: { version_id: row.id } })} />
                <Danger name={row.reference} label={tui("delete.good")} breaks={t("delete.version")} onConfirm={() => remove.mutate({ path: { version_id: row.id } })} />
              </Space>
            ),
        },
      ]}
    />
  );
}
