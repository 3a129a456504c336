// Who is told what happens here, by mail or webhook; what was sent, and how it went.
import { useMutation, useQuery } from "@tanstack/react-query";
import { App, Button, Checkbox, Drawer, Form, Input, Radio, Select, Space, Tag } from "antd";
import { useState } from "react";
import { listed, useFilter } from "@/api/cursor";
import { noticesCreateMutation, noticesDestroyMutation, noticesListOptions, noticesTryMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { TargetIn, TargetOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { ShownOnce } from "@/ui/ShownOnce";
import { words as uiWords } from "@/ui/words";
import { Deliveries } from "./Deliveries";
import { words } from "./toldWords";

export const HAPPENINGS = ["budget.reached", "job.ended", "key.expiring", "quota.asked", "quota.answered", "quota.lapsed", "plan.ended"] as const;
type Given = { kind: TargetIn["kind"]; address: string; wants: NonNullable<TargetIn["wants"]>; everywhere?: boolean };

export default function NoticesPage() {
  const t = words.use();
  const tui = uiWords.use();
  const { notification } = App.useApp();
  const may = useMay();
  const decides = may("access", "full");
  const [secret, setSecret] = useState<string>();
  const [opened, setOpened] = useFilter("target");
  const found = useQuery(noticesListOptions());
  const make = useMutation({ ...noticesCreateMutation(), meta: { quiet: true }, onSuccess: (made) => setSecret(made.secret === "" ? undefined : made.secret) });
  const remove = useMutation(noticesDestroyMutation());
  const test = useMutation({
    ...noticesTryMutation(),
    onSuccess: (_, { path }) => {
      notification.info({ title: t("test.sent") });
      setOpened(path.target_id);
    },
  });
  const shown = found.data?.data.find((each) => each.id === opened);
  return (
    <Page title={t("notices")} lead={t("notices.lead")}>
      <ListTable<TargetOut>
        label={t("notices")}
        rowKey={(row) => row.id}
        {...listed(found)}
        empty={t("notices.empty")}
        filters={
          decides && (
            <FormDialog<Given>
              type="primary"
              label={t("target.new")}
              initial={{ kind: "webhook", wants: [], everywhere: false }}
              onSubmit={(body) => make.mutateAsync({ body: { ...body, everywhere: body.everywhere ?? false } })}
            >
              <Form.Item name="kind" label={t("target.kind")}>
                <Radio.Group options={[{ value: "webhook", label: t("kind.webhook") }, { value: "mail", label: t("kind.mail") }]} />
              </Form.Item>
              <Form.Item noStyle dependencies={["kind"]}>
                {({ getFieldValue }) => (
                  <Form.Item name="address" label={t("target.address")} extra={getFieldValue("kind") === "mail" ? t("target.mail.extra") : t("target.webhook.extra")} rules={[{ required: true, max: 1024 }]}>
                    <Input autoComplete="off" placeholder={getFieldValue("kind") === "mail" ? "ada@example.com" : "https://example.com/hooks/slipway"} />
                  </Form.Item>
                )}
              </Form.Item>
              <Form.Item name="wants" label={t("target.wants")}>
                <Select mode="multiple" placeholder={t("target.all")} options={HAPPENINGS.map((each) => ({ value: each, label: t(`happening.${each}`) }))} />
              </Form.Item>
              {may("organisation", "full") && (
                <Form.Item name="everywhere" valuePropName="checked">
                  <Checkbox>{t("target.everywhere")}</Checkbox>
                </Form.Item>
              )}
            </FormDialog>
          )
        }
        columns={[
          {
            title: t("target.address"),
            render: (_, row) => (
              <Space>
                <Tag>{t(`kind.${row.kind}`)}</Tag>
                <code className="clip">{row.address}</code>
                {row.stopped !== "" && <Tag color="error" title={row.stopped}>{t("target.stopped", { why: row.stopped })}</Tag>}
              </Space>
            ),
          },
          { title: t("target.wants"), render: (_, row) => (row.wants.length === 0 ? t("target.all") : row.wants.map((each) => <Tag key={each}>{t(`happening.${each}` as "happening.job.ended")}</Tag>)) },
          { title: t("target.where"), render: (_, row) => (row.everywhere ? t("where.organisation") : t("where.project")) },
          { title: t("target.by"), dataIndex: "made_by" },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
          {
            title: tui("actions"),
            render: (_, row) => (
              <Space wrap>
                <Button onClick={() => setOpened(row.id)}>{t("deliveries")}</Button>
                {may("access", "operate") && (
                  <Button loading={test.isPending && test.variables.path.target_id === row.id} onClick={() => test.mutate({ path: { target_id: row.id } })}>
                    {t("test")}
                  </Button>
                )}
                {decides && <Danger name={row.address} breaks={t("target.delete.breaks")} onConfirm={() => remove.mutate({ path: { target_id: row.id } })} />}
              </Space>
            ),
          },
        ]}
      />
      <Drawer open={opened !== undefined} size="large" title={shown === undefined ? t("deliveries") : t("deliveries.of", { name: shown.address })} onClose={() => setOpened(undefined)} destroyOnHidden>
        {opened !== undefined && <Deliveries target={opened} />}
      </Drawer>
      <ShownOnce title={t("target.made")} warning={t("target.once")} value={secret} onClose={() => setSecret(undefined)} />
    </Page>
  );
}
