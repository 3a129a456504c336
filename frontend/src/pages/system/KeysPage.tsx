// API keys of the project: made (the value is shown once), seen, revoked.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Tag } from "antd";
import { useState } from "react";
import { usePager } from "@/api/cursor";
import { keysDestroyMutation, keysListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { KeyOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Danger } from "@/ui/Danger";
import { useNow, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { words as uiWords } from "@/ui/words";
import { NewKey } from "./NewKey";
import { words } from "./words";

export default function KeysPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const now = useNow();
  const [making, setMaking] = useState(false);
  const found = useQuery(keysListOptions({ query: { limit: 20, cursor: pager.cursor } }));
  const revoke = useMutation(keysDestroyMutation());
  const state = (key: KeyOut) => {
    if (key.revoked_at !== null) return <Tag>{t("key.revoked")}</Tag>;
    if (key.expires_at !== null && new Date(key.expires_at).getTime() < now) return <Tag>{t("key.expired")}</Tag>;
    return <Tag color="success">{t("key.active")}</Tag>;
  };
  return (
    <Page
      title={t("keys")}
      lead={t("keys.lead")}
      actions={
        <Button type="primary" onClick={() => setMaking(true)}>
          {t("key.new")}
        </Button>
      }
    >
      <ListTable<KeyOut>
        label={t("keys")}
        rows={found.data?.data}
        rowKey={(row) => row.id}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        pager={pager}
        nextCursor={found.data?.next_cursor}
        empty={t("keys.empty")}
        columns={[
          { title: t("key.name"), dataIndex: "name" },
          { title: t("key.value"), render: (_, row) => <span className="mono">{row.redacted}</span> },
          { title: t("key.role"), render: (_, row) => t(`key.role.${row.role}`) },
          { title: t("key.state"), render: (_, row) => state(row) },
          { title: t("key.made_by"), dataIndex: "made_by" },
          { title: t("key.used"), render: (_, row) => <When at={row.last_used_at} /> },
          { title: t("key.expires"), render: (_, row) => (row.expires_at === null ? t("key.never") : <When at={row.expires_at} />) },
          {
            title: tui("actions"),
            render: (_, row) =>
              row.revoked_at === null && (
                <Danger
                  name={row.name}
                  label={t("key.revoke")}
                  breaks={t("key.revoke.breaks")}
                  onConfirm={() => revoke.mutate({ path: { key_id: row.id } })}
                />
              ),
          },
        ]}
      />
      <NewKey open={making} onClose={() => setMaking(false)} />
    </Page>
  );
}
