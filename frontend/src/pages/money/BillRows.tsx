// The rows of the ledger that one line of a bill sums; a request leads to where its answer came from.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { listed } from "@/api/cursor";
import { billsLinesRowsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { LineOut, TracedRowOut } from "@/api/generated/types.gen";
import { useSession } from "@/shell/session";
import { count, dateTime } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { words } from "./words";

const OF_REQUESTS = new Set(["requests", "prompt_tokens", "completion_tokens", "embedding_tokens"]);
const RUN = /^(training job|evaluation) ([0-9a-f-]{36})$/;

function Subject({ row, line }: { row: TracedRowOut; line: LineOut }) {
  const { project } = useSession();
  const run = RUN.exec(row.subject);
  // A bill of the organisation has lines of projects that are not open here.
  if (line.project_id !== project.id) return <>{row.subject}</>;
  if (OF_REQUESTS.has(line.kind)) return <Link to={`/requests/${encodeURIComponent(row.subject)}`}>{row.subject}</Link>;
  if (run !== null) return <Link to={`/${run[1] === "evaluation" ? "evaluation" : "training"}/${run[2]}`}>{row.subject}</Link>;
  return <>{row.subject}</>;
}

type Given = { month: string; everywhere: boolean; line: LineOut };

export function BillRows({ month, everywhere, line }: Given) {
  const t = words.use();
  const [trail, setTrail] = useState<string[]>([]);
  const found = useQuery(billsLinesRowsListOptions({ path: { month, number: line.number }, query: { everywhere, limit: 50, cursor: trail.at(-1) } }));
  // The address is the bill's: pages of what lies over it are not in it.
  const pager = { next: (to: string) => setTrail([...trail, to]), previous: () => setTrail(trail.slice(0, -1)), isFirst: trail.length === 0 };
  return (
    <div className="stack">
      <p className="quiet">{t("bill.rows.sum", { quantity: count(line.quantity), kind: t(`kind.${line.kind as "requests"}`) })}</p>
      <ListTable<TracedRowOut>
        label={t("bill.rows")}
        rowKey={(row) => row.id}
        {...listed(found)}
        pager={pager}
        nextCursor={found.data?.next_cursor}
        empty={t("bill.rows.none")}
        columns={[
          { title: t("when"), render: (_, row) => dateTime(row.created_at) },
          { title: t("bill.subject"), render: (_, row) => <span className="mono"><Subject row={row} line={line} /></span> },
          { title: t("quantity"), align: "end", render: (_, row) => <span className="number">{count(row.quantity)}</span> },
        ]}
      />
    </div>
  );
}
