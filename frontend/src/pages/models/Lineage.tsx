// Where a version came from and where it went: data and base → job → version → deployments, each a link.
import { useQuery } from "@tanstack/react-query";
import { ArrowRightOutlined } from "@ant-design/icons";
import { Fragment, type ReactNode } from "react";
import { Link } from "react-router";
import {
  datasetVersionsRetrieveOptions,
  deploymentsListOptions,
  jobsRetrieveOptions,
  modelVersionsRetrieveOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionDetailOut } from "@/api/generated/types.gen";
import { words } from "./words";

export function Lineage({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  const { base_version_id: base, dataset_version_id: dataset, job_id: job } = version;
  const baseVersion = useQuery({ ...modelVersionsRetrieveOptions({ path: { version_id: base ?? "" } }), enabled: base !== null });
  const data = useQuery({ ...datasetVersionsRetrieveOptions({ path: { version_id: dataset ?? "" } }), enabled: dataset !== null });
  const run = useQuery({ ...jobsRetrieveOptions({ path: { job_id: job ?? "" } }), enabled: job !== null });
  const deployments = useQuery(deploymentsListOptions({ query: { limit: 100 } }));
  const here = deployments.data?.data.filter((each) => each.version_id === version.id) ?? [];
  const steps: [string, ReactNode][] = [];
  if (dataset !== null)
    steps.push([
      t("lineage.data"),
      data.data && <Link to={`/data/${data.data.dataset_id}/versions/${dataset}`}>{`${data.data.dataset}@${data.data.number}`}</Link>,
    ]);
  if (base !== null)
    steps.push([
      t("lineage.base"),
      baseVersion.data && <Link to={`/models/${baseVersion.data.model_id}/versions/${base}`}>{baseVersion.data.reference}</Link>,
    ]);
  steps.push([
    t("lineage.job"),
    job === null ? t("lineage.imported") : run.data && <Link to={`/training/${job}`}>{run.data.name}</Link>,
  ]);
  steps.push([t("lineage.this"), <strong key="this">{version.reference}</strong>]);
  steps.push([
    t("lineage.deployment"),
    here.length === 0
      ? t("lineage.nowhere")
      : here.map((each) => (
          <div key={each.id}>
            <Link to={`/deployments/${each.id}`}>{each.name}</Link>
          </div>
        )),
  ]);
  return (
    <div className="lineage">
      {steps.map(([name, what], index) => (
        <Fragment key={name}>
          {index > 0 && <ArrowRightOutlined aria-hidden />}
          <div className="card">
            <div className="bubble-role">{name}</div>
            {what}
          </div>
        </Fragment>
      ))}
    </div>
  );
}
