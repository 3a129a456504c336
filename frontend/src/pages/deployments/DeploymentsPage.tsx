// What answers under which name: deployments, rules of traffic, external models.
import { useQuery } from "@tanstack/react-query";
import { Input, Tabs } from "antd";
import { Link } from "react-router";
import { BY_NAME, listed, useFilter, usePager } from "@/api/cursor";
import { deploymentsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { live } from "@/api/live";
import { useMay } from "@/shell/session";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Blank } from "@/ui/runs/Blank";
import { LinkButton } from "@/ui/runs/LinkButton";
import "@/ui/runs/runs.css";
import { words as uiWords } from "@/ui/words";
import "./deployments.css";
import { Externals } from "./Externals";
import { Rules } from "./Routing";
import { words } from "./words";

export default function DeploymentsPage() {
  const t = words.use();
  const [tab, setTab] = useFilter("tab");
  const may = useMay();
  const fresh = !may("deployments", "operate") ? undefined : (
    <LinkButton type="primary" to="/deployments/new">
      {t("new")}
    </LinkButton>
  );
  return (
    <Page title={t("title")} lead={t("lead")} actions={fresh}>
      <Tabs
        activeKey={tab ?? "list"}
        onChange={(key) => setTab(key === "list" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "list", label: t("list"), children: <Deployments fresh={fresh} /> },
          { key: "rules", label: t("rules"), children: <Rules /> },
          { key: "externals", label: t("externals"), children: <Externals /> },
        ]}
      />
    </Page>
  );
}

function Deployments({ fresh }: { fresh: React.ReactNode }) {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager(BY_NAME);
  const [search, setSearch] = useFilter("search");
  const found = useQuery({
    ...deploymentsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order, search } }),
    refetchInterval: live,
  });
  return (
      <ListTable
        label={t("title")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={search === undefined ? <Blank title={t("empty.title")} text={t("empty.text")} action={fresh} /> : tui("filters.none")}
        filters={<Input.Search allowClear defaultValue={search} placeholder={tui("search.name")} aria-label={tui("search.name")} onSearch={setSearch} />}
        columns={[
          { title: tui("name"), key: "name", sorter: true, render: (_, row) => <Link to={`/deployments/${row.id}`}>{row.name}</Link> },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("version"), render: (_, row) => row.serving?.model ?? "–" },
          { title: t("coming"), render: (_, row) => row.coming?.model ?? "–" },
          { title: t("replicas"), render: (_, row) => t("replicas.of", { up: row.endpoints, wanted: row.replicas }) },
          { title: t("by"), dataIndex: "made_by" },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
  );
}
