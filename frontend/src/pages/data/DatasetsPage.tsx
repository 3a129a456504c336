// The list of datasets, and the way in for new ones.
import { useQuery } from "@tanstack/react-query";
import { Button, Input, Space } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { BY_NAME, listed, useFilter, usePager } from "@/api/cursor";
import { datasetsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { useMay } from "@/shell/session";
import { count, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { words as uiWords } from "@/ui/words";
import { Bin } from "./Bin";
import { NewDataset } from "./NewDataset";
import { words } from "./words";

export default function DatasetsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager(BY_NAME);
  const [search, setSearch] = useFilter("search");
  const [bin, setBin] = useFilter("bin");
  const [making, setMaking] = useState(false);
  const found = useQuery(datasetsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order, search } }));
  return (
    <Page
      title={t("title")}
      lead={t("lead")}
      actions={
        <Space>
        <Button onClick={() => setBin(bin === "1" ? undefined : "1")} aria-pressed={bin === "1"}>
          {bin === "1" ? tui("bin.leave") : tui("bin")}
        </Button>
        {may("datasets", "operate") && (
          <Button type="primary" onClick={() => setMaking(true)}>
            {t("new")}
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
          { title: tui("name"), key: "name", sorter: true, render: (_, row) => <Link to={`/data/${row.id}`}>{row.name}</Link> },
          {
            title: t("latest"),
            render: (_, { id, latest }) => latest !== null && <Link to={`/data/${id}/versions/${latest.id}`}>{t("version", { n: latest.number })}</Link>,
          },
          { title: tui("status"), render: (_, { latest }) => latest !== null && <Phase phase={latest.phase} reason={latest.reason} /> },
          { title: t("rows"), align: "end", render: (_, { latest }) => latest !== null && <span className="number">{count(latest.rows)}</span> },
          { title: t("description"), dataIndex: "description", ellipsis: true },
          { title: t("made_by"), dataIndex: "made_by" },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />}
      <NewDataset open={making} onClose={() => setMaking(false)} />
    </Page>
  );
}
