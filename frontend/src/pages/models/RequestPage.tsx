// Where an answer came from: the request as the ledger has it, back to the rows that taught the model.
import { useQuery } from "@tanstack/react-query";
import { Skeleton, Tag } from "antd";
import { Link, useParams } from "react-router";
import { modelVersionsRetrieveOptions, requestsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { Facts } from "@/ui/Facts";
import { count, dateTime, Hash } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { Lineage } from "./Lineage";
import { words } from "./words";

export default function RequestPage() {
  const t = words.use();
  const path = { request_id: useParams().id ?? "" };
  // The ledger learns of a request a moment after its answer.
  const found = useQuery({ ...requestsRetrieveOptions({ path }), retry: (times, error) => times < 5 && refusalOf(error).status === 404, retryDelay: 1_000 });
  const record = found.data;
  const version = useQuery({ ...modelVersionsRetrieveOptions({ path: { version_id: record?.version_id ?? "" } }), enabled: record !== undefined });
  return (
    <Page title={path.request_id} lead={t("request.lead")}>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      {record !== undefined && (
        <Facts
          label={t("lineage.request")}
          facts={[
            [t("request.status"), <Tag key="s" color={record.status < 400 ? "success" : "error"}>{record.status}</Tag>],
            [t("request.at"), dateTime(record.at)],
            [t("request.endpoint"), <span key="e" className="mono">{record.endpoint}</span>],
            [t("request.model"), <Link key="m" to={`/deployments/${record.deployment_id}`}>{record.model}</Link>],
            [t("request.tokens"), `${count(record.prompt_tokens)} → ${count(record.completion_tokens)}`],
            [t("request.latency"), `${Math.round(record.first_byte_ms ?? record.latency_ms)} / ${Math.round(record.latency_ms)} ms`],
            [t("request.key"), <Hash key="k" value={record.key_id} />],
            ...(version.data === undefined ? [] : [[t("hash"), <Hash key="h" value={version.data.sha256} />] as [string, React.ReactNode]]),
          ]}
        />
      )}
      {version.error && <Refused refusal={refusalOf(version.error)} />}
      {(found.isLoading || version.isLoading) && <Skeleton active />}
      {record !== undefined && version.data !== undefined && <Lineage version={version.data} request={record} />}
    </Page>
  );
}
