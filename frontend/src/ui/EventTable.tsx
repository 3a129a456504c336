// The life of something, as its events tell it.
import type { Refusal } from "@/api/refusal";
import { dateTime } from "./figures";
import { ListTable } from "./ListTable";
import { Phase } from "./Phase";
import { said } from "./said";
import { words } from "./words";

type Event = { at: string; level: string; kind: string; source: string; target: string; reason: string };
type Props = {
  events: Event[] | undefined;
  refusal: Refusal | null;
  pager: { next: (cursor: string) => void; previous: () => void; isFirst: boolean };
  nextCursor: string | null | undefined;
};

export function EventTable({ events, refusal, pager, nextCursor }: Props) {
  const t = words.use();
  return (
    <ListTable<Event>
      label={t("events")}
      rows={events}
      rowKey={(row) => `${row.at}${row.kind}${row.source}${row.target}${row.reason}`}
      refusal={refusal}
      pager={pager}
      nextCursor={nextCursor}
      empty={t("events.none")}
      columns={[
        { title: t("events.at"), render: (_, row) => <time dateTime={row.at}>{dateTime(row.at)}</time> },
        { title: t("events.what"), render: (_, row) => (row.target === "" ? row.kind : <Phase phase={row.target} />) },
        { title: t("events.why"), render: (_, row) => said(row.reason) },
      ]}
    />
  );
}
