// The table of a list page: filters above, rows, a word when there are none, pages below.
import { Button, Table, type TableProps } from "antd";
import { type ReactNode, useEffect, useRef } from "react";
import type { Refusal } from "@/api/refusal";
import { Refused } from "./Refused";
import { words } from "./words";

type Props<Row> = {
  rows: Row[] | undefined;
  /** One with `sorter: true` and a `key` that the list has an order for is sorted by a click on its head, or Enter. */
  columns: NonNullable<TableProps<Row>["columns"]>;
  rowKey: (row: Row) => string;
  refusal?: Refusal | null;
  onRetry?: () => void;
  filters?: ReactNode;
  /** What to say, and what to do, when there is nothing yet. */
  empty: ReactNode;
  pager?: { next: (cursor: string) => void; previous: () => void; isFirst: boolean; order?: string | undefined; sort?: (order: string) => void };
  nextCursor?: string | null | undefined;
  label: string;
};

export function ListTable<Row extends object>(given: Props<Row>) {
  const t = words.use();
  const { rows, refusal, pager, nextCursor } = given;
  const order = pager?.order ?? "-created";
  const columns = given.columns.map((column) =>
    column.sorter === true
      ? {
          ...column,
          // An element: the table would write a text beside itself as a label, and a head be named like a field of a form.
          title: <>{column.title}</>,
          sortOrder: order === column.key ? ("ascend" as const) : order === `-${String(column.key)}` ? ("descend" as const) : null,
        }
      : column,
  );
  const box = useRef<HTMLElement>(null);
  // A table wider than the screen is scrolled by keyboard too.
  useEffect(() => box.current?.querySelector(".ant-table-content")?.setAttribute("tabindex", "0"));
  return (
    <section aria-label={given.label} ref={box}>
      {refusal !== null && refusal !== undefined && <Refused refusal={refusal} {...(given.onRetry && { onRetry: given.onRetry })} />}
      {given.filters !== undefined && <div className="filters">{given.filters}</div>}
      <Table<Row>
        columns={columns}
        // Round and round: a list is always in some order.
        sortDirections={["ascend", "descend", "ascend"]}
        onChange={(_pages, _filters, sorted, { action }) => {
          if (action === "sort" && !Array.isArray(sorted)) pager?.sort?.(`${sorted.order === "descend" ? "-" : ""}${String(sorted.columnKey)}`);
        }}
        dataSource={rows ?? []}
        rowKey={given.rowKey}
        loading={rows === undefined && !refusal}
        pagination={false}
        scroll={{ x: "max-content" }}
        size="middle"
        locale={{ emptyText: <div className="empty">{rows === undefined ? " " : given.empty}</div> }}
      />
      {pager !== undefined && (!pager.isFirst || Boolean(nextCursor)) && (
        <div className="pager">
          <Button disabled={pager.isFirst} onClick={pager.previous}>
            {t("page.previous")}
          </Button>
          <Button disabled={!nextCursor} onClick={() => nextCursor && pager.next(nextCursor)}>
            {t("page.next")}
          </Button>
        </div>
      )}
    </section>
  );
}
