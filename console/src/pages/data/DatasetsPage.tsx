// The list of datasets.
import { useQuery } from "@tanstack/react-query";
import { Input } from "antd";
import { Link } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { datasetsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export default function DatasetsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const [search, setSearch] = useFilter("search");
  const found = useQuery({
    ...datasetsListOptions({ query: { limit: 20, cursor: pager.cursor, search } }),
    refetchInterval: live,
  });
  return (
    <Page title={t("title")} lead={t("lead")}>
      <ListTable
        label={t("title")}
        rows={found.data?.data}
        rowKey={(row) => row.id}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        pager={pager}
        nextCursor={found.data?.next_cursor}
        empty={t("empty")}
        filters={<Input.Search allowClear defaultValue={search} onSearch={setSearch} aria-label={tui("name")} />}
        columns={[
          { title: tui("name"), render: (_, row) => <Link to={`/data/${row.id}`}>{row.name}</Link> },
          { title: t("description"), dataIndex: "description" },
          { title: t("made_by"), dataIndex: "made_by" },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}
