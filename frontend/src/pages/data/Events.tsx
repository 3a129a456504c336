// What happened to a version, newest first.
import { useQuery } from "@tanstack/react-query";
import { usePager } from "@/api/cursor";
import { datasetVersionsEventsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { EventTable } from "@/ui/EventTable";

export function Events({ versionId }: { versionId: string }) {
  const pager = usePager();
  const found = useQuery(
    datasetVersionsEventsListOptions({ path: { version_id: versionId }, query: { limit: 50, cursor: pager.cursor } }),
  );
  return <EventTable events={found.data?.data} refusal={found.error && refusalOf(found.error)} pager={pager} nextCursor={found.data?.next_cursor} />;
}
