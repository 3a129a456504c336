// Whether the parts of the platform are ready, and what one that is not waits for.
import { useQuery } from "@tanstack/react-query";
import { Tag } from "antd";
import { healthRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

export default function HealthPage() {
  const t = words.use();
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
    </Page>
  );
}
