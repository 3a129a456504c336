// Every project's share of one pool, for those who look after the platform.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Card, Checkbox, Form, InputNumber, Select, Space } from "antd";
import { listed, usePager } from "@/api/cursor";
import { capacityPoolsSharesDestroyMutation, capacityPoolsSharesListOptions, capacityPoolsSharesUpdateMutation, projectsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { PoolOut, ShareIn, ShareOut } from "@/api/generated/types.gen";
import { count, Hash } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { AMOUNTS } from "./amounts";
import { words } from "./words";

type ShareForm = ShareIn & { project_id: string };

export function Shares({ pool, decides }: { pool: PoolOut; decides: boolean }) {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const found = useQuery(capacityPoolsSharesListOptions({ path: { pool_id: pool.id }, query: { limit: 50, cursor: pager.cursor } }));
  const projects = useQuery({ ...projectsListOptions(), staleTime: 30_000 });
  const set = useMutation({ ...capacityPoolsSharesUpdateMutation(), meta: { quiet: true } });
  const drop = useMutation(capacityPoolsSharesDestroyMutation());
  const nameOf = (id: string) => projects.data?.data.find((each) => each.id === id)?.name;
  return (
    <Card
      size="small"
      title={`${t("shares")} · ${pool.name}`}
      extra={
        decides && (
          <FormDialog<ShareForm> label={t("share.set")} initial={{ gpus: 0, borrows: true }} onSubmit={({ project_id, ...body }) => set.mutateAsync({ path: { pool_id: pool.id, project_id }, body })}>
            <Form.Item name="project_id" label={t("share.project")} rules={[{ required: true }]}>
              <Select showSearch={{ optionFilterProp: "label" }} options={(projects.data?.data ?? []).map((each) => ({ value: each.id, label: each.name }))} />
            </Form.Item>
            {AMOUNTS.map((name) => (
              <Form.Item key={name} name={name} label={t(name)} {...(name === "gpus" && { rules: [{ required: true }] })}>
                <InputNumber<number> min={0} max={1e7} precision={0} className="wide" placeholder={name === "gpus" ? "" : t("with_gpus")} />
              </Form.Item>
            ))}
            <Form.Item name="borrows" valuePropName="checked">
              <Checkbox>{t("borrows")}</Checkbox>
            </Form.Item>
          </FormDialog>
        )
      }
    >
      <ListTable<ShareOut>
        label={`${t("shares")} ${pool.name}`}
        rowKey={(row) => row.project_id}
        {...listed(found, pager)}
        empty={t("shares.empty")}
        columns={[
          { title: t("share.project"), render: (_, row) => nameOf(row.project_id) ?? <Hash value={row.project_id} /> },
          ...AMOUNTS.map((name) => ({
            title: t(name),
            align: "end" as const,
            render: (_: unknown, row: ShareOut) => count(row[name]),
          })),
          { title: `${t("used")} · ${t("gpus")}`, align: "end", render: (_, row) => count(row.use.used.gpus) },
          { title: `${t("borrowed")} · ${t("gpus")}`, align: "end", render: (_, row) => (row.borrows ? count(row.use.borrowed.gpus) : <span className="quiet">{t("borrows.no")}</span>) },
          {
            title: tui("actions"),
            render: (_, row) =>
              decides && (
                <Space>
                  <Sure danger label={t("share.drop")} what={nameOf(row.project_id) ?? row.project_id} breaks={t("share.drop.breaks")} onConfirm={() => drop.mutate({ path: { pool_id: pool.id, project_id: row.project_id } })} />
                </Space>
              ),
          },
        ]}
      />
    </Card>
  );
}
