// Datasets that were deleted: brought back, or deleted for good.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Space } from "antd";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import { datasetsDestroyMutation, datasetsListOptions, datasetsRestoreMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function Bin() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager(BY_NAME);
  const found = useQuery(datasetsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order, deleted: true } }));
  const restore = useMutation(datasetsRestoreMutation());
  const remove = useMutation(datasetsDestroyMutation());
  return (
    <ListTable<DatasetOut>
      label={tui("bin")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      empty={tui("bin.empty")}
      columns={[
        { title: tui("name"), key: "name", sorter: true, dataIndex: "name" },
        { title: t("description"), dataIndex: "description", ellipsis: true },
        { title: tui("bin.since"), render: (_, row) => <When at={row.deleted_at} /> },
        {
          title: tui("actions"),
          render: (_, row) =>
            may("datasets", "full") && (
              <Space>
                <Sure label={tui("restore")} what={tui("restore.what", { name: row.name })} breaks={tui("restore.breaks")} onConfirm={() => restore.mutate({ path: { dataset_id: row.id } })} />
                <Danger name={row.name} label={tui("delete.good")} breaks={t("delete.dataset")} onConfirm={() => remove.mutate({ path: { dataset_id: row.id } })} />
              </Space>
            ),
        },
      ]}
    />
  );
}
