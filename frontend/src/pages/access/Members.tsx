// People, groups and programs with a role here: added, given another role, removed.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Checkbox, Form, Input, Select, Space, Tag } from "antd";
import { listed } from "@/api/cursor";
import {
  groupsListOptions,
  membersCreateMutation,
  membersDestroyMutation,
  membersListOptions,
  membersPartialUpdateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import { membersRetrieve } from "@/api/generated/sdk.gen";
import type { MemberOut } from "@/api/generated/types.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { words as uiWords } from "@/ui/words";
import { useRoles } from "./useRoles";
import { words } from "./words";

type Given = { user?: string; group?: string; role: string; everywhere?: boolean };
const quiet = { meta: { quiet: true } };

export function Members() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const roles = useRoles();
  const found = useQuery(membersListOptions());
  const groups = useQuery({ ...groupsListOptions(), enabled: may("organisation", "read"), staleTime: 15_000 });
  const add = useMutation({ ...membersCreateMutation(), ...quiet });
  const change = useMutation({ ...membersPartialUpdateMutation(), ...quiet });
  const remove = useMutation(membersDestroyMutation());
  const decides = may("access", "full");
  const mine = (row: MemberOut) => decides && (!row.everywhere || may("organisation", "full"));
  return (
    <ListTable<MemberOut>
      label={t("members")}
      rowKey={(row) => row.id}
      {...listed(found)}
      empty={t("members.empty")}
      filters={
        decides && (
          <FormDialog<Given>
            type="primary"
            label={t("member.add")}
            initial={{ role: "operator", everywhere: false }}
            onSubmit={({ user = "", group = null as never, role, everywhere = false }) => add.mutateAsync({ body: { user, group, role, everywhere } })}
          >
            {(form) => (
              <>
                <Form.Item name="user" label={t("member.user")} extra={t("member.user.extra")} dependencies={["group"]} rules={[{ validator: () => ((form.getFieldValue("user") as string | undefined) || form.getFieldValue("group") ? Promise.resolve() : Promise.reject(new Error(t("member.who.missing")))) }]}>
                  <Input autoComplete="off" />
                </Form.Item>
                {(groups.data?.data.length ?? 0) > 0 && (
                  <Form.Item name="group" label={t("member.group")}>
                    <Select allowClear options={(groups.data?.data ?? []).map((each) => ({ value: each.id, label: each.name }))} />
                  </Form.Item>
                )}
                <Form.Item name="role" label={t("role")}>
                  <Select options={roles.options} />
                </Form.Item>
                {may("organisation", "full") && (
                  <Form.Item name="everywhere" valuePropName="checked">
                    <Checkbox>{t("member.everywhere")}</Checkbox>
                  </Form.Item>
                )}
              </>
            )}
          </FormDialog>
        )
      }
      columns={[
        {
          title: t("member.who"),
          render: (_, row) =>
            row.user !== null ? row.user : (
              <Space>
                {row.group}
                <Tag>{t("member.group")}</Tag>
              </Space>
            ),
        },
        { title: t("email"), render: (_, row) => row.email ?? "" },
        { title: t("role"), render: (_, row) => <Tag color="blue">{roles.nameOf(row.role)}</Tag> },
        { title: t("member.where"), render: (_, row) => (row.everywhere ? t("member.organisation") : t("member.project")) },
        { title: t("member.since"), render: (_, row) => <When at={row.created_at} /> },
        {
          title: tui("actions"),
          render: (_, row) =>
            mine(row) && (
              <Space>
                <FormDialog<{ role: string }>
                  label={t("member.change")}
                  title={t("member.change.of", { name: row.user ?? row.group ?? "" })}
                  send={tui("save")}
                  load={() => seen(membersRetrieve({ path: { member_id: row.id }, throwOnError: true }))}
                  changedBy={() => changedBy(row.id)}
                  onSubmit={(body, tag) => change.mutateAsync({ path: { member_id: row.id }, body, headers: upon(tag) })}
                >
                  <Form.Item name="role" label={t("role")}>
                    <Select options={roles.options} />
                  </Form.Item>
                </FormDialog>
                <Danger
                  name={row.user ?? row.group ?? ""}
                  label={t("member.remove")}
                  breaks={t("member.remove.breaks")}
                  onConfirm={() => remove.mutate({ path: { member_id: row.id } })}
                />
              </Space>
            ),
        },
      ]}
    />
  );
}
