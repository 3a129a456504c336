// The rows of a version: as many as there are, fetched by the hundred as they come into sight.
import { useQuery } from "@tanstack/react-query";
import { CloseOutlined } from "@ant-design/icons";
import { Drawer, Select, Skeleton, Tag } from "antd";
import { useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { useFilter } from "@/api/cursor";
import { datasetVersionsStatisticsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetVersionOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { count } from "@/ui/figures";
import { Messages, turnsOf } from "@/ui/Messages";
import { Refused } from "@/ui/Refused";
import { VirtualRows } from "@/ui/VirtualRows";
import { filterOf, LENGTHS, useRows } from "./useRows";
import { words } from "./words";

export function Rows({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const path = { version_id: version.id };
  const [group, setGroup] = useFilter("group");
  const [search, setSearch] = useSearchParams();
  const [seen, setSeen] = useState<[number, number]>([0, 0]);
  const [open, setOpen] = useState<number | null>(null);
  const statistics = useQuery({ ...datasetVersionsStatisticsRetrieveOptions({ path }), staleTime: Infinity });
  const groups = (statistics.data?.groups ?? {}) as Record<string, number>;
  const filter = useMemo(() => filterOf(search), [search]);
  const tokens = "base" in filter;
  const bar = statistics.data?.lengths.find((each) => !tokens && each.low === filter.at_least && each.high === filter.at_most);
  const most = group !== undefined ? (groups[group] ?? 0) : (bar?.rows ?? version.rows);
  const { at, error, total } = useRows(version.id, filter, seen, most);
  const shown = open === null ? undefined : at(open);
  if (version.rows === 0) return t("rows.none");
  return (
    <>
      <div className="filters">
        <span>{t("rows.showing", { n: count(total) })}</span>
        {(filter.at_least !== undefined || filter.at_most !== undefined) && (
          <Tag
            closable
            closeIcon={<CloseOutlined aria-label={t("rows.length.clear")} />}
            onClose={() => setSearch((now) => (LENGTHS.forEach((each) => now.delete(each)), now), { replace: true })}
          >
            {t(tokens ? "rows.tokens" : "rows.length", { low: filter.at_least ?? "0", high: filter.at_most ?? "∞" })}
          </Tag>
        )}
        {!tokens && Object.keys(groups).length > 0 && (
          <Select
            aria-label={t("rows.group")}
            value={group ?? ""}
            onChange={setGroup}
            popupMatchSelectWidth={false}
            options={[
              { value: "", label: t("rows.all") },
              ...Object.entries(groups).map(([name, n]) => ({ value: name, label: `${name} (${count(n)})` })),
            ]}
          />
        )}
      </div>
      {error && <Refused refusal={refusalOf(error)} />}
      <VirtualRows
        key={JSON.stringify(filter)}
        count={total}
        label={t("tab.rows")}
        columns="72px minmax(0, 3fr) minmax(0, 2fr)"
        onSight={setSeen}
        onOpen={setOpen}
        cells={(index) => <Cells found={at(index)} />}
      />
      <Drawer open={open !== null} onClose={() => setOpen(null)} size={560} title={t("rows.open", { n: (shown?.number ?? 0) + 1 })}>
        {shown === undefined ? (
          <Skeleton />
        ) : (
          <div className="page-body">
            <Messages turns={turnsOf(shown.row)} />
            <div>{t("rows.raw")}</div>
            <pre className="code mono">{JSON.stringify(shown.row, null, 2)}</pre>
          </div>
        )}
      </Drawer>
    </>
  );
}

function Cells({ found }: { found: { number: number; row?: unknown } | undefined }) {
  if (found === undefined) return <span>…</span>;
  const turns = turnsOf(found.row);
  const asked = turns.findLast((each) => each.role === "user") ?? turns[0];
  const answer = turns.length > 1 ? turns.at(-1) : undefined;
  return (
    <>
      <span className="number">{found.number + 1}</span>
      <span className="cut">{asked?.text}</span>
      <span className="cut">{answer?.text}</span>
    </>
  );
}
