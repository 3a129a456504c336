// What each role allows, module by module; an organisation makes roles of its own.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Select, Space, Table } from "antd";
import {
  accessModulesListOptions,
  rolesCreateMutation,
  rolesDestroyMutation,
  rolesListOptions,
  rolesUpdateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import { rolesRetrieve } from "@/api/generated/sdk.gen";
import type { CustomRoleIn, CustomRoleOut, LevelsIn, ModuleOut } from "@/api/generated/types.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { FormDialog } from "@/ui/FormDialog";
import { Level } from "@/ui/Level";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

const READY = ["reader", "operator", "owner", "admin"] as const;
const LEVELS = ["none", "read", "operate", "full"] as const;
type Module = "module.datasets";

export default function RolesPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const decides = may("organisation", "full");
  const looks = may("organisation", "read");
  const modules = useQuery({ ...accessModulesListOptions(), staleTime: 300_000 });
  const own = useQuery({ ...rolesListOptions(), enabled: looks });
  const make = useMutation({ ...rolesCreateMutation(), meta: { quiet: true } });
  const change = useMutation({ ...rolesUpdateMutation(), meta: { quiet: true } });
  const remove = useMutation(rolesDestroyMutation());
  const rows = modules.data?.data ?? [];
  // No organisation gives rights on the platform.
  const given = rows.filter((each) => each.name !== "platform");
  const fields = (
    <div className="levels">
      {given.map((each) => (
        <Form.Item key={each.name} name={["levels", each.name]} label={t(`module.${each.name}` as Module)}>
          <Select options={LEVELS.map((level) => ({ value: level, label: tui(`level.${level}`) }))} />
        </Form.Item>
      ))}
    </div>
  );
  const none = Object.fromEntries(given.map((each) => [each.name, "none" as const]));
  return (
    <Page title={t("roles")} lead={t("roles.lead")}>
      {modules.error && <Refused refusal={refusalOf(modules.error)} onRetry={() => void modules.refetch()} />}
      {looks && (
        <ListTable<CustomRoleOut>
          label={t("roles.own")}
          rows={own.data?.data}
          rowKey={(row) => row.id}
          refusal={own.error && refusalOf(own.error)}
          empty={t("roles.empty")}
          filters={
            decides && (
              <FormDialog<CustomRoleIn> type="primary" width={680} label={t("role.new")} initial={{ levels: none }} onSubmit={(body) => make.mutateAsync({ body })}>
                <Form.Item name="name" label={tui("name")} rules={[{ required: true, max: 63 }]}>
                  <Input autoComplete="off" />
                </Form.Item>
                {fields}
              </FormDialog>
            )
          }
          columns={[
            { title: t("roles.own"), dataIndex: "name" },
            {
              title: t("role.allows"),
              render: (_, row) => (
                <Space wrap size={[12, 4]}>
                  {Object.entries(row.levels).filter(([, level]) => level !== "none").map(([name, level]) => (
                    <span key={name}>
                      {t(`module.${name}` as Module)} <Level level={level} />
                    </span>
                  ))}
                </Space>
              ),
            },
            {
              title: tui("actions"),
              render: (_, row) =>
                decides && (
                  <Space>
                    <FormDialog<LevelsIn>
                      label={tui("edit")}
                      title={t("role.edit", { name: row.name })}
                      send={tui("save")}
                      width={680}
                      initial={{ levels: none }}
                      load={async () => {
                        const { thing, tag } = await seen(rolesRetrieve({ path: { role_id: row.id }, throwOnError: true }));
                        return { thing: { levels: thing.levels as LevelsIn["levels"] }, tag };
                      }}
                      changedBy={() => changedBy(row.id)}
                      onSubmit={(body, tag) => change.mutateAsync({ path: { role_id: row.id }, body, headers: upon(tag) })}
                    >
                      {fields}
                    </FormDialog>
                    <Danger name={row.name} breaks={t("role.delete.breaks")} onConfirm={() => remove.mutate({ path: { role_id: row.id } })} />
                  </Space>
                ),
            },
          ]}
        />
      )}
      <section aria-label={t("roles.ready")}>
        <Table<ModuleOut>
          size="small"
          pagination={false}
          scroll={{ x: "max-content" }}
          title={() => t("roles.ready")}
          rowKey="name"
          dataSource={rows}
          columns={[
            { title: t("module"), render: (_, row) => t(`module.${row.name}` as Module) },
            ...READY.map((role) => ({
              title: t(`role.${role}`),
              render: (_: unknown, row: ModuleOut) => <Level level={row.presets[role]} />,
            })),
          ]}
        />
      </section>
    </Page>
  );
}
