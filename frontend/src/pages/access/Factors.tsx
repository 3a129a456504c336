// One's own second factors: authenticator apps, passkeys, and the recovery codes for who lost theirs.
import { useMutation } from "@tanstack/react-query";
import { Button, Form, Input, Modal, Space, Tag } from "antd";
import { useState } from "react";
import { sessionFactorsCodesCreateMutation, sessionFactorsDestroyMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { FactorOut } from "@/api/generated/types.gen";
import { hasPasskeys, makePasskey } from "@/api/passkey";
import { queries } from "@/api/client";
import { Authenticator } from "@/shell/Authenticator";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { ShownOnce } from "@/ui/ShownOnce";
import { words as uiWords } from "@/ui/words";
import { words } from "./entryWords";

export function Factors({ factors, codesLeft }: { factors: FactorOut[] | undefined; codesLeft: number }) {
  const t = words.use();
  const tui = uiWords.use();
  const [adding, setAdding] = useState(false);
  const [codes, setCodes] = useState<string[]>([]);
  const renew = useMutation({ ...sessionFactorsCodesCreateMutation(), onSuccess: ({ passcodes }) => setCodes(passcodes) });
  const remove = useMutation(sessionFactorsDestroyMutation());
  const passkey = useMutation({ meta: { quiet: true }, mutationFn: ({ name }: { name: string }) => makePasskey(name) });
  const renewing = <Button key="renew" loading={renew.isPending} onClick={() => renew.mutate({})}>{t("codes.renew")}</Button>;
  return (
    <section className="card">
      <h2>{t("factors")}</h2>
      <p className="quiet">{t("factors.lead")}</p>
      <div className="spaced">
      <ListTable<FactorOut>
        label={t("factors")}
        rows={factors}
        rowKey={(row) => row.id}
        empty={t("factors.empty")}
        filters={
          <>
            <Button type="primary" onClick={() => setAdding(true)}>
              {t("factor.totp.new")}
            </Button>
            {hasPasskeys() && (
              <FormDialog<{ name: string }> label={t("factor.passkey.new")} initial={{ name: location.hostname }} onSubmit={(given) => passkey.mutateAsync(given)}>
                <Form.Item name="name" label={tui("name")} extra={t("factor.passkey.extra")} rules={[{ required: true, max: 63 }]}>
                  <Input autoComplete="off" />
                </Form.Item>
              </FormDialog>
            )}
            {(factors?.length ?? 0) > 0 && (
              <Space>
                <Tag color={codesLeft < 3 ? "warning" : "default"}>{t("codes.left", { n: codesLeft })}</Tag>
                {codesLeft === 0 ? renewing : <Sure label={t("codes.renew")} what={t("codes.renew.what")} breaks={t("codes.renew.breaks")} busy={renew.isPending} onConfirm={() => renew.mutate({})} />}
              </Space>
            )}
          </>
        }
        columns={[
          { title: tui("name"), dataIndex: "name" },
          { title: t("factor.kind"), render: (_, row) => t(`factor.${row.kind}`) },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
          { title: t("factor.used"), render: (_, row) => <When at={row.last_used_at} /> },
          {
            title: tui("actions"),
            render: (_, row) => (
              <Sure danger label={tui("delete")} what={t("factor.delete.what", { name: row.name })} breaks={t("factor.delete.breaks")} onConfirm={() => remove.mutate({ path: { factor_id: row.id } })} />
            ),
          },
        ]}
      />
      </div>
      <Modal open={adding} footer={null} title={t("factor.totp.new")} onCancel={() => setAdding(false)} destroyOnHidden>
        <Authenticator
          onDone={(given) => {
            setAdding(false);
            setCodes(given);
            void queries.invalidateQueries();
          }}
        />
      </Modal>
      <ShownOnce title={t("codes")} warning={t("codes.once")} value={codes.length > 0 ? codes.join("\n") : undefined} onClose={() => setCodes([])} />
    </section>
  );
}
