// API keys of the project: made (the value is shown once), seen, revoked.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Select, Space, Tag, Tooltip } from "antd";
import { useState } from "react";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import { keysDestroyMutation, keysListOptions, keysRotateCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { KeyOut } from "@/api/generated/types.gen";
import { Danger } from "@/ui/Danger";
import { useNow, When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { Level } from "@/ui/Level";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { ShownOnce } from "@/ui/ShownOnce";
import { useMay } from "@/shell/session";
import { words as uiWords } from "@/ui/words";
import { NewKey } from "./NewKey";
import { words } from "./words";

export default function KeysPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager(BY_NAME);
  const now = useNow();
  const may = useMay();
  const [secret, setSecret] = useState<string>();
  const found = useQuery(keysListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order } }));
  const revoke = useMutation(keysDestroyMutation());
  const rotate = useMutation({ ...keysRotateCreateMutation(), meta: { quiet: true }, onSuccess: (made) => setSecret(made.secret) });
  const state = (key: KeyOut) => {
    if (key.revoked_at !== null) return <Tag>{t("key.revoked")}</Tag>;
    if (key.expires_at !== null && new Date(key.expires_at).getTime() < now) return <Tag>{t("key.expired")}</Tag>;
    return <Tag color="success">{t("key.active")}</Tag>;
  };
  return (
    <Page
      title={t("keys")}
      lead={t("keys.lead")}
      actions={may("access", "operate") && <NewKey onMade={setSecret} />}
    >
      <ListTable<KeyOut>
        label={t("keys")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={t("keys.empty")}
        columns={[
          { title: t("key.name"), dataIndex: "name", key: "name", sorter: true },
          { title: t("key.value"), render: (_, row) => <span className="mono">{row.redacted}</span> },
          { title: t("key.may"), render: (_, row) => (row.role === "custom" ? <Scopes scopes={row.scopes} /> : t(`key.role.${row.role}`)) },
          { title: t("key.state"), render: (_, row) => state(row) },
          { title: t("key.made_by"), dataIndex: "made_by" },
          { title: t("key.networks"), render: (_, row) => (row.networks.length === 0 ? t("key.anywhere") : row.networks.map((each) => <Tag key={each}>{each}</Tag>)) },
          { title: t("key.used"), render: (_, row) => <When at={row.last_used_at} /> },
          { title: t("key.expires"), render: (_, row) => (row.expires_at === null ? t("key.never") : <When at={row.expires_at} />) },
          {
            title: tui("actions"),
            render: (_, row) =>
              row.revoked_at === null &&
              may("access", "operate") && (
                <Space>
                  <FormDialog<{ overlap_seconds: number }>
                    label={t("key.rotate")}
                    title={t("key.rotate.of", { name: row.name })}
                    initial={{ overlap_seconds: 86_400 }}
                    onSubmit={(body) => rotate.mutateAsync({ path: { key_id: row.id }, body })}
                  >
                    <Form.Item name="overlap_seconds" label={t("key.overlap")} extra={t("key.overlap.extra")}>
                      <Select options={[0, 3_600, 86_400, 604_800, 2_592_000].map((each) => ({ value: each, label: t(`key.overlap.${each}` as "key.overlap.0") }))} />
                    </Form.Item>
                  </FormDialog>
                  <Danger
                    name={row.name}
                    label={t("key.revoke")}
                    breaks={t("key.revoke.breaks")}
                    onConfirm={() => revoke.mutate({ path: { key_id: row.id } })}
                  />
                </Space>
              ),
          },
        ]}
      />
      <ShownOnce title={t("key.made")} warning={t("key.once")} value={secret} onClose={() => setSecret(undefined)} />
    </Page>
  );
}

function Scopes({ scopes }: { scopes: Record<string, string> }) {
  const t = words.use();
  const given = Object.entries(scopes);
  return (
    <Tooltip title={given.map(([name, level]) => <div key={name}>{t(`module.${name}` as "module.datasets")} <Level level={level} /></div>)}>
      <span tabIndex={0}>{t("key.scopes.n", { n: given.length })}</span>
    </Tooltip>
  );
}
