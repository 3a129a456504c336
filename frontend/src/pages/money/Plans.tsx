// Plans on offer, and what this project has of them; administrators of the platform offer and withdraw them.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Space, Tag } from "antd";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import { plansDestroyMutation, plansListOptions, subscriptionsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { PlanOfferOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { count } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { amount } from "./amount";
import { NewPlan } from "./NewPlan";
import { words } from "./planWords";
import { Subscriptions } from "./Subscriptions";
import { Take } from "./Take";

export function Plans() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager(BY_NAME);
  const found = useQuery(plansListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order } }));
  const taken = useQuery(subscriptionsListOptions({ query: { limit: 500 } }));
  const mine = new Set(taken.data?.data.filter((each) => each.phase === "active").map((each) => each.plan.id));
  const withdraw = useMutation(plansDestroyMutation());
  const offers = may("platform", "operate");
  return (
    <div className="stack">
      <p className="quiet">{t("plans.lead")}</p>
      <ListTable<PlanOfferOut>
        label={t("plans")}
        rowKey={(plan) => plan.id}
        {...listed(found, pager)}
        empty={t("plans.empty")}
        filters={offers && <NewPlan />}
        columns={[
          {
            title: tui("name"),
            key: "name",
            sorter: true,
            render: (_, plan) => (
              <>
                <strong>{plan.name}</strong>
                {plan.about !== "" && <div className="quiet">{plan.about}</div>}
              </>
            ),
          },
          { title: t("model"), render: (_, plan) => (plan.model === "" ? t("model.any") : plan.model) },
          { title: t("gives"), render: (_, plan) => <Gives plan={plan} /> },
          {
            title: t("fee"),
            render: (_, plan) => (plan.everybody ? <Tag>{t("everybody.has")}</Tag> : <span className="number">{t(`fee.${plan.term}`, { amount: amount(plan.fee, plan.currency) })}</span>),
          },
          {
            title: tui("actions"),
            render: (_, plan) => (
              <Space wrap>
                {!plan.everybody && (mine.has(plan.id) ? <Tag color="success">{t("take.mine")}</Tag> : may("money", "full") && <Take plan={plan} />)}
                {offers && (
                  <Sure danger label={t("withdraw")} what={t("withdraw.what", { name: plan.name })} breaks={t(plan.everybody ? "withdraw.lifts" : "withdraw.breaks")} onConfirm={() => withdraw.mutate({ path: { plan_id: plan.id } })} />
                )}
              </Space>
            ),
          },
        ]}
      />
      <Subscriptions />
    </div>
  );
}

function Gives({ plan }: { plan: PlanOfferOut }) {
  const t = words.use();
  const given = [
    ["requests", plan.requests_per_minute],
    ["tokens", plan.tokens_per_minute],
    ["replicas", plan.replicas],
  ] as const;
  return given
    .filter(([, many]) => many > 0)
    .map(([name, many]) => (
      <div key={name} className="number">
        {t(`${plan.everybody ? "limits" : "gives"}.${name}`, { count: count(many) })}
      </div>
    ));
}
