// Ways in for people who may have no account yet; the link is shown once.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Select } from "antd";
import { useState } from "react";
import { listed, usePager } from "@/api/cursor";
import { invitesCreateMutation, invitesDestroyMutation, invitesListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { InviteIn, InviteOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { ShownOnce } from "@/ui/ShownOnce";
import { words as uiWords } from "@/ui/words";
import { useRoles } from "./useRoles";
import { words } from "./words";

export function Invites() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const roles = useRoles();
  const pager = usePager();
  const [link, setLink] = useState<string>();
  const found = useQuery(invitesListOptions({ query: { limit: 50, cursor: pager.cursor } }));
  const invite = useMutation({ ...invitesCreateMutation(), meta: { quiet: true }, onSuccess: (made) => setLink(made.link) });
  const withdraw = useMutation(invitesDestroyMutation());
  return (
    <>
      <ListTable<InviteOut>
        label={t("invites")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={t("invites.empty")}
        filters={
          may("access", "full") && (
            <FormDialog<InviteIn> type="primary" label={t("invite")} initial={{ role: "operator" }} onSubmit={(body) => invite.mutateAsync({ body })}>
              <Form.Item name="email" label={t("email")} rules={[{ required: true, type: "email" }]}>
                <Input autoComplete="off" type="email" />
              </Form.Item>
              <Form.Item name="role" label={t("role")}>
                <Select options={roles.options} />
              </Form.Item>
            </FormDialog>
          )
        }
        columns={[
          { title: t("email"), dataIndex: "email" },
          { title: t("role"), render: (_, row) => roles.nameOf(row.role) },
          { title: t("invite.by"), dataIndex: "invited_by" },
          { title: t("invite.until"), render: (_, row) => <When at={row.expires_at} /> },
          {
            title: tui("actions"),
            render: (_, row) =>
              may("access", "full") && (
                <Sure
                  danger
                  label={t("invite.withdraw")}
                  what={t("invite.withdraw.what", { name: row.email })}
                  breaks={t("invite.withdraw.breaks")}
                  onConfirm={() => withdraw.mutate({ path: { invite_id: row.id } })}
                />
              ),
          },
        ]}
      />
      <ShownOnce title={t("invite.made")} warning={t("invite.once")} value={link} onClose={() => setLink(undefined)} />
    </>
  );
}
