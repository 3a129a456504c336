// The project's models, each with its newest version.
import { useQuery } from "@tanstack/react-query";
import { Button, Input, Space, Tag } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { BY_NAME, listed, useFilter, usePager } from "@/api/cursor";
import { modelsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { useMay } from "@/shell/session";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { words as uiWords } from "@/ui/words";
import { Bin } from "./Bin";
import { ImportModel } from "./ImportModel";
import { words } from "./words";

export default function ModelsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager(BY_NAME);
  const [search, setSearch] = useFilter("search");
  const [bin, setBin] = useFilter("bin");
  const [importing, setImporting] = useState(false);
  const found = useQuery(modelsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order, search } }));
  return (
    <Page
      title={t("title")}
      lead={t("lead")}
      actions={
        <Space>
        <Button onClick={() => setBin(bin === "1" ? undefined : "1")} aria-pressed={bin === "1"}>
          {bin === "1" ? tui("bin.leave") : tui("bin")}
        </Button>
        {may("models", "operate") && (
          <Button type="primary" onClick={() => setImporting(true)}>
            {t("import")}
          </Button>
        )}
        </Space>
      }
    >
      {bin === "1" ? <Bin /> : <ListTable
        label={t("title")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={search === undefined ? t("empty") : t("empty.search")}
        filters={
          <Input.Search allowClear defaultValue={search} onSearch={setSearch} placeholder={t("search")} aria-label={t("search")} />
        }
        columns={[
          { title: tui("name"), key: "name", sorter: true, render: (_, row) => <Link to={`/models/${row.id}`}>{row.name}</Link> },
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
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />}
      <ImportModel open={importing} onClose={() => setImporting(false)} />
    </Page>
  );
}
