// Whether the parts of the platform are ready, and what one that is not waits for.
import { useQuery } from "@tanstack/react-query";
import { Descriptions, Tag } from "antd";
import { healthMachineRetrieveOptions, healthRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { bytes } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

export default function HealthPage() {
  const t = words.use();
  const may = useMay();
  const found = useQuery({ ...healthRetrieveOptions(), refetchInterval: 5_000 });
  return (
    <Page title={t("health")} lead={t("health.lead")}>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      <div className="grid2">
        {(["database", "compute"] as const).map((name) => {
          const part = found.data?.[name];
          return (
            part && (
              <section key={name} className="card" aria-label={t(`health.${name}`)}>
                <strong>{t(`health.${name}`)}</strong>{" "}
                <Tag color={part.ready ? "success" : "warning"}>{part.ready ? t("health.ready") : t("health.waiting")}</Tag>
                {!part.ready && <div>{part.reason}</div>}
              </section>
            )
          );
        })}
      </div>
      {may("platform", "read") && <Machine />}
    </Page>
  );
}

function Machine() {
  const t = words.use();
  const found = useQuery({ ...healthMachineRetrieveOptions(), refetchInterval: 10_000 });
  if (found.data === undefined) return null;
  const { disk_bytes, disk_free_bytes, gpus, cpus, memory_bytes } = found.data;
  const known = (value: string | number | null) => value ?? t("health.unknown");
  const items = [
    { label: t("health.disk"), children: t("health.disk.free", { free: bytes(disk_free_bytes), all: bytes(disk_bytes) }) },
    { label: t("health.gpus"), children: known(gpus) },
    { label: t("health.cpus"), children: known(cpus) },
    { label: t("health.memory"), children: known(memory_bytes && bytes(memory_bytes)) },
    { label: t("health.backup"), children: t("health.backup.none") },
  ];
  return (
    <section className="card" aria-label={t("health.machine")}>
      <Descriptions title={t("health.machine")} column={1} items={items.map((item) => ({ key: item.label, ...item }))} />
    </section>
  );
}
