// The list of deployments: what answers under which name.
import { useQuery } from "@tanstack/react-query";
import { Input } from "antd";
import { Link } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { deploymentsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useSession } from "@/shell/session";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Blank } from "@/ui/runs/Blank";
import { LinkButton } from "@/ui/runs/LinkButton";
import "@/ui/runs/runs.css";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export default function DeploymentsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const { role } = useSession();
  const pager = usePager();
  const [name, setName] = useFilter("name");
  const found = useQuery({
    ...deploymentsListOptions({ query: { limit: 20, cursor: pager.cursor, name } }),
    refetchInterval: live,
  });
  const fresh = role === "reader" ? undefined : (
    <LinkButton type="primary" to="/deployments/new">
      {t("new")}
    </LinkButton>
  );
  return (
    <Page title={t("title")} lead={t("lead")} actions={fresh}>
      <ListTable
        label={t("title")}
        rows={found.data?.data}
        rowKey={(row) => row.id}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        pager={pager}
        nextCursor={found.data?.next_cursor}
        empty={<Blank title={t("empty.title")} text={t("empty.text")} action={fresh} />}
        filters={<Input.Search allowClear defaultValue={name} placeholder={t("name.search")} aria-label={t("name.search")} onSearch={setName} />}
        columns={[
          { title: tui("name"), render: (_, row) => <Link to={`/deployments/${row.id}`}>{row.name}</Link> },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("version"), render: (_, row) => row.serving?.model ?? "–" },
          { title: t("coming"), render: (_, row) => row.coming?.model ?? "–" },
          { title: t("replicas"), render: (_, row) => t("replicas.of", { up: row.endpoints, wanted: row.replicas }) },
          { title: t("by"), dataIndex: "made_by" },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}
