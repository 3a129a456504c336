// What runs, what waits and why, what needs a person, and the first steps, ticked as they are taken.
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { overviewRetrieve } from "@/api/generated/sdk.gen";
import type { OverviewOut, SpendOut, WorkOut } from "@/api/generated/types.gen";
import { pace } from "@/api/live";
import { reading } from "@/api/reading";
import { refusalOf } from "@/api/refusal";
import { count, short } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { said } from "@/ui/said";
import { FirstSteps } from "./FirstSteps";
import { words } from "./words";

const OVERVIEW = reading("overviewRetrieve", {}, (signal) => overviewRetrieve({ signal, throwOnError: true }));
const PAGES = { job: "/training", eval: "/evaluation", deployment: "/deployments" } as const;
const NEEDS_YOU = ["failed", "unhealthy"];

export default function HomePage() {
  const t = words.use();
  const found = useQuery({ ...OVERVIEW, refetchInterval: () => pace(5_000) });
  return (
    <Page title={t("title")}>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      {found.data !== undefined && <Overview seen={found.data} />}
    </Page>
  );
}

function Overview({ seen }: { seen: OverviewOut }) {
  const t = words.use();
  const moving = seen.work.filter((each) => !NEEDS_YOU.includes(each.phase));
  const attention = seen.work.filter((each) => NEEDS_YOU.includes(each.phase));
  return (
    <div className="grid2">
      <FirstSteps taken={seen.steps} />
      <section className="card" aria-label={t("running")}>
        <h2>{t("running")}</h2>
        {moving.length === 0 ? t("running.none") : moving.map((each) => <WorkLine key={each.id} work={each} />)}
        {attention.length > 0 && <h2>{t("attention")}</h2>}
        {attention.map((each) => (
          <WorkLine key={each.id} work={each} />
        ))}
      </section>
      <section className="card" aria-label={t("services")}>
        <h2>{t("services")}</h2>
        {seen.served.length === 0
          ? t("services.none")
          : seen.served.map((each) => (
              <p key={each.id}>
                <Link to={`/deployments/${each.id}`}>{each.name}</Link> <Phase phase={each.phase} reason={each.reason} />
              </p>
            ))}
      </section>
      {seen.usage !== null && (
        <section className="card" aria-label={t("usage")}>
          <h2>{t("usage")}</h2>
          <Link to="/system/usage">
            {t("usage.told", { requests: count(seen.usage.requests), tokens: short(seen.usage.tokens), failed: count(seen.usage.failed) })}
          </Link>
          {seen.budgets.length > 0 && <h2>{t("budgets")}</h2>}
          {seen.budgets.map((each) => (
            <Budget key={each.id} budget={each} />
          ))}
        </section>
      )}
    </div>
  );
}

function Budget({ budget }: { budget: SpendOut }) {
  const t = words.use();
  const name = t(`budget.${budget.reach as "key"}`);
  const [used, limit] = [Number(budget.spent) + Number(budget.reserved), Number(budget.limit)];
  return (
    <div className="work">
      <Link to="/system/money?tab=budgets">
        {name} · {t("budget.used", { used: used.toFixed(2), limit: limit.toFixed(2), currency: budget.currency })}
      </Link>
      {budget.period === "month" && <span className="quiet"> {t("budget.month")}</span>}
      <progress className="work-bar" max={Math.max(limit, 0.01)} value={used} aria-label={name} />
    </div>
  );
}

function WorkLine({ work }: { work: WorkOut }) {
  const t = words.use();
  return (
    <div className="work">
      <Link to={`${PAGES[work.what]}/${work.id}`}>
        {t(work.what)} · {work.name}
      </Link>{" "}
      <Phase phase={work.phase} />
      {work.position > 0 && <span>{t("waits", { n: work.position })}</span>}
      {work.reason !== "" && <div className="work-reason">{said(work.reason)}</div>}
      {work.percent !== null && work.phase === "running" && <progress className="work-bar" max={100} value={work.percent} aria-label={work.name} />}
    </div>
  );
}
