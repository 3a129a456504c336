// Tokens by which directories provision people and groups (SCIM); the value is shown once.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Select } from "antd";
import { useState } from "react";
import { listed } from "@/api/cursor";
import { scimTokensCreateMutation, scimTokensDestroyMutation, scimTokensListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { NewScimTokenOut, ScimTokenOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { ShownOnce } from "@/ui/ShownOnce";
import { words as uiWords } from "@/ui/words";
import { words } from "./entryWords";

type Given = { name: string; days: number };
const DAY = 86_400_000;

export function Directories() {
  const t = words.use();
  const tui = uiWords.use();
  const decides = useMay()("organisation", "full");
  const [made, setMade] = useState<NewScimTokenOut>();
  const found = useQuery(scimTokensListOptions());
  const make = useMutation({ ...scimTokensCreateMutation(), meta: { quiet: true }, onSuccess: setMade });
  const withdraw = useMutation(scimTokensDestroyMutation());
  return (
    <>
      <ListTable<ScimTokenOut>
        label={t("directories")}
        rowKey={(row) => row.id}
        {...listed(found)}
        empty={t("directories.empty")}
        filters={
          decides && (
            <FormDialog<Given>
              type="primary"
              label={t("directory.new")}
              initial={{ days: 365 }}
              onSubmit={({ name, days }) => make.mutateAsync({ body: { name, expires_at: days === 0 ? null : new Date(Date.now() + days * DAY).toISOString() } })}
            >
              <Form.Item name="name" label={tui("name")} rules={[{ required: true, max: 63 }]}>
                <Input autoComplete="off" placeholder="entra" />
              </Form.Item>
              <Form.Item name="days" label={t("directory.until")}>
                <Select options={[90, 365, 730, 0].map((n) => ({ value: n, label: n === 0 ? t("directory.ever") : t("directory.days", { n }) }))} />
              </Form.Item>
            </FormDialog>
          )
        }
        columns={[
          { title: tui("name"), dataIndex: "name" },
          { title: t("directory.value"), render: (_, row) => <span className="mono">{row.redacted}</span> },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
          { title: t("factor.used"), render: (_, row) => <When at={row.last_used_at} /> },
          { title: t("directory.until"), render: (_, row) => (row.expires_at === null ? t("directory.ever") : <When at={row.expires_at} />) },
          {
            title: tui("actions"),
            render: (_, row) => decides && <Danger name={row.name} label={t("directory.withdraw")} breaks={t("directory.breaks")} onConfirm={() => withdraw.mutate({ path: { token_id: row.id } })} />,
          },
        ]}
      />
      <ShownOnce title={t("directory.made", { address: made?.base_url ?? "" })} warning={t("directory.once")} value={made?.secret} onClose={() => setMade(undefined)} />
    </>
  );
}
