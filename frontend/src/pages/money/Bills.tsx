// The bill of a month, line by line, and as the files that are sent: CSV, and a PDF that carries the CSV's hash.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Checkbox, Drawer, Select, Tag } from "antd";
import { useState } from "react";
import { useFilter } from "@/api/cursor";
import { download } from "@/api/download";
import { billsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { LineOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { count, dateTime, Hash } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { amount } from "./amount";
import { BillRows } from "./BillRows";
import { BillSignature } from "./BillSignature";
import { words } from "./words";

/** The last twelve months in UTC, as bills are cut, the newest first. */
function months(now: Date): string[] {
  return Array.from({ length: 12 }, (_, back) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7));
}

export function Bills() {
  const t = words.use();
  const wide = useMay()("organisation", "read");
  const known = months(new Date());
  const [month = known[0] ?? "", setMonth] = useFilter("month");
  const [all, setAll] = useFilter("all");
  const everywhere = wide && all === "1";
  const found = useQuery(billsRetrieveOptions({ path: { month }, query: { everywhere } }));
  const fetched = useMutation({
    mutationFn: (kind: "csv" | "pdf") => download(`/api/v1/bills/${month}/${kind}?everywhere=${String(everywhere)}`, `bill-${month}.${kind}`),
  });
  const [opened, setOpened] = useState<LineOut>();
  const [signature, setSignature] = useState(false);
  const bill = found.data;
  return (
    <div className="stack">
      <div className="filters">
        <Select aria-label={t("month")} value={month} onChange={setMonth} options={known.map((each) => ({ value: each, label: each }))} />
        {wide && (
          <Checkbox checked={everywhere} onChange={(event) => setAll(event.target.checked ? "1" : undefined)}>
            {t("everywhere")}
          </Checkbox>
        )}
        <Button onClick={() => fetched.mutate("csv")}>CSV</Button>
        <Button onClick={() => fetched.mutate("pdf")}>PDF</Button>
        <Button onClick={() => setSignature(true)}>{t("bill.signature")}</Button>
      </div>
      {bill !== undefined && (
        <Facts
          label={t("bills")}
          facts={[
            [t("bill.of"), bill.organisation],
            [t("month"), <span key="m">{bill.month} {bill.final ? <Tag color="success">{t("bill.final")}</Tag> : <Tag color="warning">{t("bill.running")}</Tag>}</span>],
            [t("bill.total"), <strong key="t">{amount(bill.total, bill.currency)}</strong>],
            [t("bill.hash"), <Hash key="h" value={bill.sha256} />],
          ]}
        />
      )}
      <ListTable<LineOut>
        label={t("bills")}
        rows={bill?.lines}
        rowKey={(row) => String(row.number)}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        empty={t("bill.empty")}
        columns={[
          { title: t("when"), render: (_, row) => dateTime(row.start) },
          { title: t("by.project_id"), dataIndex: "project" },
          { title: t("by.key_id"), dataIndex: "key" },
          { title: t("by.model"), dataIndex: "model" },
          { title: t("by.kind"), render: (_, row) => t(`kind.${row.kind}` as "kind.requests") },
          { title: t("quantity"), align: "end", render: (_, row) => count(row.quantity) },
          { title: t("rate"), align: "end", render: (_, row) => t("rate.per", { amount: amount(row.amount, bill?.currency ?? "CNY"), per: count(row.per) }) },
          { title: t("cost"), align: "end", render: (_, row) => <span className="number">{amount(row.cost, bill?.currency ?? "CNY")}</span> },
          {
            title: t("bill.rows"),
            render: (_, row) => (
              <Button size="small" onClick={() => setOpened(row)}>
                {t("bill.rows.show")}
              </Button>
            ),
          },
        ]}
      />
      <Drawer open={opened !== undefined} size="large" title={opened && t("bill.rows.of", { n: opened.number })} onClose={() => setOpened(undefined)} destroyOnHidden>
        {opened !== undefined && <BillRows month={month} everywhere={everywhere} line={opened} />}
      </Drawer>
      <Drawer open={signature} size="large" title={t("bill.signature")} onClose={() => setSignature(false)} destroyOnHidden>
        <BillSignature month={month} everywhere={everywhere} />
      </Drawer>
    </div>
  );
}
