// The list of datasets, and the way in for new ones.
import { useQuery } from "@tanstack/react-query";
import { Button, Input } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { datasetsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { words as uiWords } from "@/ui/words";
import { NewDataset } from "./NewDataset";
import { words } from "./words";

export default function DatasetsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const [search, setSearch] = useFilter("search");
  const [making, setMaking] = useState(false);
  const found = useQuery(datasetsListOptions({ query: { limit: 20, cursor: pager.cursor, search } }));
  return (
    <Page
      title={t("title")}
      lead={t("lead")}
      actions={
        <Button type="primary" onClick={() => setMaking(true)}>
          {t("new")}
        </Button>
      }
    >
      <ListTable
        label={t("title")}
        rows={found.data?.data}
        rowKey={(row) => row.id}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        pager={pager}
        nextCursor={found.data?.next_cursor}
        empty={search === undefined ? t("empty") : t("empty.search")}
        filters={
          <Input.Search allowClear defaultValue={search} onSearch={setSearch} placeholder={t("search")} aria-label={t("search")} />
        }
        columns={[
          { title: tui("name"), render: (_, row) => <Link to={`/data/${row.id}`}>{row.name}</Link> },
          { title: t("description"), dataIndex: "description", ellipsis: true },
          { title: t("made_by"), dataIndex: "made_by" },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
      <NewDataset open={making} onClose={() => setMaking(false)} />
    </Page>
  );
}
