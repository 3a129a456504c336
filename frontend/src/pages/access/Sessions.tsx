// Where one is signed in: seen, and ended.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Space, Tag } from "antd";
import { listed } from "@/api/cursor";
import { ownSessionEndMutation, ownSessionsEndMutation, ownSessionsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { OwnSessionOut } from "@/api/generated/types.gen";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { browserOf } from "./browser";
import { words } from "./entryWords";

export function Sessions() {
  const t = words.use();
  const tui = uiWords.use();
  const found = useQuery(ownSessionsListOptions());
  const end = useMutation(ownSessionEndMutation());
  const endOthers = useMutation(ownSessionsEndMutation());
  const others = (found.data?.data ?? []).some((each) => !each.here);
  return (
    <section className="card">
      <h2>{t("sessions")}</h2>
      <ListTable<OwnSessionOut>
        label={t("sessions")}
        rowKey={(row) => row.id}
        {...listed(found)}
        empty={t("sessions.empty")}
        filters={others && <Sure danger label={t("sessions.end")} what={t("sessions.end.what")} breaks={t("sessions.end.breaks")} busy={endOthers.isPending} onConfirm={() => endOthers.mutate({})} />}
        columns={[
          {
            title: t("session.browser"),
            render: (_, row) => (
              <Space>
                <span title={row.agent}>{browserOf(row.agent) || t("session.unknown")}</span>
                {row.here && <Tag color="blue">{t("session.here")}</Tag>}
              </Space>
            ),
          },
          { title: t("session.address"), render: (_, row) => <span className="mono">{row.address}</span> },
          { title: t("session.begun"), render: (_, row) => <When at={row.created_at} /> },
          { title: t("session.seen"), render: (_, row) => <When at={row.seen_at} /> },
          {
            title: tui("actions"),
            render: (_, row) =>
              !row.here && (
                <Sure danger label={t("session.end")} what={t("session.end.what")} breaks={t("session.end.breaks")} onConfirm={() => end.mutate({ path: { session_id: row.id } })} />
              ),
          },
        ]}
      />
    </section>
  );
}
