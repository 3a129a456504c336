// Budgets with what is spent, set aside and left; and the alerts they raised.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Form, Input, InputNumber, Progress, Select, Space, Switch, Tag } from "antd";
import {
  alertsListOptions,
  budgetsCreateMutation,
  budgetsDestroyMutation,
  budgetsListOptions,
  budgetsUpdateMutation,
  keysListOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import { budgetsRetrieve } from "@/api/generated/sdk.gen";
import type { BudgetIn, BudgetOut, LimitIn } from "@/api/generated/types.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { refusalOf } from "@/api/refusal";
import { useMay, useSession } from "@/shell/session";
import { FormDialog } from "@/ui/FormDialog";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { amount, used } from "./amount";
import { words } from "./words";

export function Budgets() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const session = useSession();
  const decides = may("money", "full");
  const found = useQuery(budgetsListOptions({ query: { limit: 500 } }));
  const alerts = useQuery(alertsListOptions({ query: { limit: 5 } }));
  const keys = useQuery({ ...keysListOptions({ query: { limit: 500 } }), enabled: may("access", "read"), staleTime: 30_000 });
  const make = useMutation({ ...budgetsCreateMutation(), meta: { quiet: true } });
  const change = useMutation({ ...budgetsUpdateMutation(), meta: { quiet: true } });
  const remove = useMutation(budgetsDestroyMutation());
  const rows = found.data?.data;
  const targetOf = (row: BudgetOut) => {
    const named = row.reach === "key" ? keys.data?.data : row.reach === "project" ? session.projects : undefined;
    return named?.find((each) => each.id === row.target_id)?.name ?? (row.reach === "organisation" ? session.project.organisation : row.target_id.slice(0, 8));
  };
  const nameOf = (row: BudgetOut) => `${t(`reach.${row.reach as "key"}`)} ${targetOf(row)}`;
  const limits = (
    <>
      <Form.Item name="limit" label={t("budget.limit")} rules={[{ required: true }]}>
        <InputNumber stringMode min="0" precision={6} className="wide" />
      </Form.Item>
      <Form.Item name="alert_at" label={t("budget.alert_at")} extra={t("budget.alert_at.extra")}>
        <Select mode="multiple" options={[50, 80, 90, 100, 120].map((each) => ({ value: each, label: `${each} %` }))} />
      </Form.Item>
      <Form.Item name="hard" label={t("budget.hard")} extra={t("budget.hard.extra")} valuePropName="checked">
        <Switch />
      </Form.Item>
    </>
  );
  return (
    <div className="stack">
      {alerts.data?.data.map((each) => {
        const budget = rows?.find((row) => row.id === each.budget_id);
        return (
          budget && (
            <Alert
              key={each.id}
              type="warning"
              showIcon
              title={
                <>
                  {t("alert", { name: nameOf(budget), percent: each.percent, spent: amount(each.spent, budget.currency) })} <When at={each.created_at} />
                </>
              }
            />
          )
        );
      })}
      <ListTable<BudgetOut>
        label={t("budgets")}
        rows={rows}
        rowKey={(row) => row.id}
        refusal={found.error && refusalOf(found.error)}
        onRetry={() => void found.refetch()}
        empty={t("budgets.empty")}
        filters={
          decides && (
            <FormDialog<BudgetIn>
              type="primary"
              label={t("budget.new")}
              initial={{ reach: "project", period: "month", hard: true, alert_at: [80, 100] }}
              onSubmit={({ reach, ...body }) => make.mutateAsync({ body: { ...body, reach, ...(reach === "project" && { target_id: session.project.id }) } })}
            >
              <Form.Item name="reach" label={t("budget.reach")}>
                <Select options={(may("organisation", "full") ? (["project", "key", "organisation"] as const) : (["project", "key"] as const)).map((each) => ({ value: each, label: t(`reach.${each}`) }))} />
              </Form.Item>
              <Form.Item noStyle dependencies={["reach"]}>
                {({ getFieldValue }) =>
                  getFieldValue("reach") === "key" ? (
                    <Form.Item name="target_id" label={t("reach.key")} rules={[{ required: true }]}>
                      <Select options={(keys.data?.data ?? []).filter((each) => each.revoked_at === null).map((each) => ({ value: each.id, label: each.name }))} />
                    </Form.Item>
                  ) : (
                    <Form.Item label={t("budget.of")}>
                      <Input disabled value={getFieldValue("reach") === "project" ? session.project.name : session.project.organisation} />
                    </Form.Item>
                  )
                }
              </Form.Item>
              <Form.Item name="period" label={t("budget.period")}>
                <Select options={(["month", "total"] as const).map((each) => ({ value: each, label: t(`period.${each}`) }))} />
              </Form.Item>
              {limits}
            </FormDialog>
          )
        }
        columns={[
          { title: t("budget.of"), render: (_, row) => nameOf(row) },
          { title: t("budget.period"), render: (_, row) => t(`period.${row.period as "month"}`) },
          {
            title: t("budget.used"),
            render: (_, row) => {
              const percent = used(row.spent, row.reserved, row.limit);
              return (
                <div className="budget-bar">
                  <Progress percent={percent} size="small" status={percent >= 100 ? "exception" : "normal"} aria-label={nameOf(row)} />
                  <span className="quiet number">
                    {t("budget.spent", { spent: amount(row.spent, row.currency), reserved: amount(row.reserved, row.currency), limit: amount(row.limit, row.currency) })}
                  </span>
                </div>
              );
            },
          },
          { title: t("budget.left"), align: "end", render: (_, row) => <span className="number">{amount(row.left, row.currency)}</span> },
          { title: t("budget.hard"), render: (_, row) => <Tag color={row.hard ? "red" : "default"}>{t(row.hard ? "budget.refuses" : "budget.warns")}</Tag> },
          {
            title: tui("actions"),
            render: (_, row) =>
              decides && (
                <Space>
                  <FormDialog<LimitIn>
                    label={tui("edit")}
                    title={t("budget.edit", { name: nameOf(row) })}
                    send={tui("save")}
                    load={() => seen(budgetsRetrieve({ path: { budget_id: row.id }, throwOnError: true }))}
                    changedBy={() => changedBy(row.id)}
                    onSubmit={(body, tag) => change.mutateAsync({ path: { budget_id: row.id }, body, headers: upon(tag) })}
                  >
                    {limits}
                  </FormDialog>
                  <Sure danger label={tui("delete")} what={t("budget.delete.what", { name: nameOf(row) })} breaks={t("budget.delete.breaks")} onConfirm={() => remove.mutate({ path: { budget_id: row.id } })} />
                </Space>
              ),
          },
        ]}
      />
    </div>
  );
}
