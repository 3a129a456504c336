// The project's models, each with its newest version.
import { useQuery } from "@tanstack/react-query";
import { Button, Input, Space, Tag } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { modelsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { words as uiWords } from "@/ui/words";
import { ImportModel } from "./ImportModel";
import { words } from "./words";

export default function ModelsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const [search, setSearch] = useFilter("search");
  const [importing, setImporting] = useState(false);
  const found = useQuery(modelsListOptions({ query: { limit: 20, cursor: pager.cursor, search } }));
  return (
    <Page
      title={t("title")}
      lead={t("lead")}
      actions={
        <Button type="primary" onClick={() => setImporting(true)}>
          {t("import")}
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
          { title: tui("name"), render: (_, row) => <Link to={`/models/${row.id}`}>{row.name}</Link> },
          { title: t("versions"), dataIndex: "versions", align: "end" },
          {
            title: t("aliases"),
            render: (_, row) => (
              <Space size={4}>
                {Object.keys(row.aliases).map((alias) => (
                  <Tag key={alias}>{alias}</Tag>
                ))}
              </Space>
            ),
          },
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
      <ImportModel open={importing} onClose={() => setImporting(false)} />
    </Page>
  );
}
