// Service accounts: members that are programs; they act by keys made for them.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Select } from "antd";
import { listed } from "@/api/cursor";
import { serviceAccountsCreateMutation, serviceAccountsDestroyMutation, serviceAccountsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { AccountIn, AccountOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { words as uiWords } from "@/ui/words";
import { useRoles } from "./useRoles";
import { words } from "./words";

export function Accounts() {
  const t = words.use();
  const tui = uiWords.use();
  const decides = useMay()("access", "full");
  const roles = useRoles();
  const found = useQuery(serviceAccountsListOptions());
  const make = useMutation({ ...serviceAccountsCreateMutation(), meta: { quiet: true } });
  const retire = useMutation(serviceAccountsDestroyMutation());
  return (
    <ListTable<AccountOut>
      label={t("accounts")}
      rowKey={(row) => String(row.id)}
      {...listed(found)}
      empty={t("accounts.empty")}
      filters={
        decides && (
          <FormDialog<AccountIn> type="primary" label={t("account.new")} initial={{ role: "operator" }} onSubmit={(body) => make.mutateAsync({ body })}>
            <Form.Item name="name" label={tui("name")} extra={t("name.extra")} rules={[{ required: true, max: 63 }]}>
              <Input autoComplete="off" />
            </Form.Item>
            <Form.Item name="role" label={t("role")}>
              <Select options={roles.options} />
            </Form.Item>
          </FormDialog>
        )
      }
      columns={[
        { title: tui("name"), dataIndex: "name" },
        { title: t("role"), render: (_, row) => roles.nameOf(row.role) },
        { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        {
          title: tui("actions"),
          render: (_, row) =>
            decides && <Danger name={row.name} breaks={t("account.delete.breaks")} onConfirm={() => retire.mutate({ path: { account_id: row.id } })} />,
        },
      ]}
    />
  );
}
