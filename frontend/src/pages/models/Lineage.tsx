// Where a version came from and where it went: data and base → job → version → deployments → the request that was asked.
import { useQuery } from "@tanstack/react-query";
import { Skeleton } from "antd";
import { lazy, Suspense, useMemo } from "react";
import { deploymentsListOptions, jobsRetrieveOptions, modelVersionsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionDetailOut, RecordOut } from "@/api/generated/types.gen";
import type { Arrow, Box } from "@/ui/layers";
import { words } from "./words";

const Graph = lazy(() => import("@/ui/Graph"));
const versionAt = (id: string) => `/models/-/versions/${id}`;

type Props = { version: ModelVersionDetailOut; /** The request whose answer it gave, where that is what is asked for. */ request?: RecordOut };

export function Lineage({ version, request }: Props) {
  const t = words.use();
  const { base_version_id: base, job_id: job } = version;
  const run = useQuery({ ...jobsRetrieveOptions({ path: { job_id: job ?? "" } }), enabled: job !== null });
  // An adapter that was brought in has a base, and no job that names it.
  const baseVersion = useQuery({ ...modelVersionsRetrieveOptions({ path: { version_id: base ?? "" } }), enabled: base !== null && job === null });
  const deployments = useQuery(deploymentsListOptions({ query: { limit: 200 } }));
  const { boxes, arrows } = useMemo(() => {
    const boxes: Box[] = [];
    const arrows: Arrow[] = [];
    const add = (box: Box, ...to: string[]) => {
      boxes.push(box);
      arrows.push(...to.map((each) => ({ from: box.id, to: each })));
    };
    const made = run.data;
    if (made !== undefined) {
      const { dataset, held_out, base: from } = made;
      add({ id: dataset.version_id, kind: t("lineage.data"), label: dataset.name, to: `/data/-/versions/${dataset.version_id}` }, made.id);
      if (held_out !== null) add({ id: held_out.version_id, kind: t("lineage.held_out"), label: held_out.name, to: `/data/-/versions/${held_out.version_id}` }, made.id);
      add({ id: from.version_id, kind: t("lineage.base"), label: from.name, to: versionAt(from.version_id) }, made.id);
      add({ id: made.id, kind: t("lineage.job"), label: made.name, to: `/training/${made.id}` }, version.id);
    } else if (baseVersion.data !== undefined) {
      add({ id: baseVersion.data.id, kind: t("lineage.base"), label: baseVersion.data.reference, to: versionAt(baseVersion.data.id) }, version.id);
    }
    const here = (deployments.data?.data ?? []).filter((each) => each.version_id === version.id || each.id === request?.deployment_id);
    add({ id: version.id, kind: t("lineage.version"), label: version.reference, to: versionAt(version.id) }, ...here.map((each) => each.id));
    for (const each of here) {
      const asked = request !== undefined && each.id === request.deployment_id ? [request.request_id] : [];
      add({ id: each.id, kind: t("lineage.deployment"), label: each.name, to: `/deployments/${each.id}` }, ...asked);
    }
    if (request !== undefined) add({ id: request.request_id, kind: t("lineage.request"), label: request.request_id });
    return { boxes, arrows };
  }, [run.data, baseVersion.data, deployments.data, version, request, t]);
  if (deployments.data === undefined || (job !== null && run.isPending)) return <Skeleton active />;
  return (
    <>
      <Suspense fallback={<Skeleton active />}>
        <Graph boxes={boxes} arrows={arrows} here={request?.request_id ?? version.id} label={t("tab.lineage")} />
      </Suspense>
      {job === null && <p className="quiet">{t("lineage.imported")}</p>}
      {request === undefined && !arrows.some((each) => each.from === version.id) && <p className="quiet">{t("lineage.nowhere")}</p>}
    </>
  );
}
