// What was sent to one target, newest first, and why what failed did.
import { useQuery } from "@tanstack/react-query";
import { listed, usePager } from "@/api/cursor";
import { noticesDeliveriesOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DeliveryOut } from "@/api/generated/types.gen";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Phase } from "@/ui/Phase";
import { words as uiWords } from "@/ui/words";
import { words } from "./toldWords";

const unsent = (rows: DeliveryOut[] | undefined) => (rows ?? []).some((each) => each.phase === "queued");

export function Deliveries({ target }: { target: string }) {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const found = useQuery({
    ...noticesDeliveriesOptions({ path: { target_id: target }, query: { limit: 20, cursor: pager.cursor, order: pager.order } }),
    // Deliveries are not among what the platform tells of; only what waits is asked for again.
    refetchInterval: (query) => (unsent(query.state.data?.data) ? 2_000 : false),
  });
  return (
    <ListTable<DeliveryOut>
      label={t("deliveries")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      empty={t("deliveries.empty")}
      columns={[
        { title: t("delivery.at"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        { title: t("delivery.what"), render: (_, row) => t(`happening.${row.happening}` as "happening.job.ended") },
        { title: tui("status"), render: (_, row) => <Phase phase={row.phase} /> },
        { title: t("delivery.attempts"), dataIndex: "attempts" },
        { title: t("delivery.why"), render: (_, row) => <span className="quiet">{row.reason}</span> },
        {
          title: t("delivery.body"),
          render: (_, row) => (
            <details>
              <summary>{t("delivery.show")}</summary>
              <pre className="code mono">{JSON.stringify(row.body, null, 2)}</pre>
            </details>
          ),
        },
      ]}
    />
  );
}
