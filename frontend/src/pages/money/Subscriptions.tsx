// What this project has of plans, and had: units, when the term ends, what the next one costs.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, InputNumber, Space, Tag } from "antd";
import { listed, usePager } from "@/api/cursor";
import { changedBy, seen, upon } from "@/api/editing";
import { subscriptionsListOptions, subscriptionsPartialUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import { subscriptionsRetrieve } from "@/api/generated/sdk.gen";
import type { SubscriptionOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { amount } from "./amount";
import { words } from "./planWords";

export function Subscriptions() {
  const t = words.use();
  const tui = uiWords.use();
  const decides = useMay()("money", "full");
  const pager = usePager();
  const found = useQuery(subscriptionsListOptions({ query: { limit: 20, cursor: pager.cursor } }));
  return (
    <ListTable<SubscriptionOut>
      label={t("mine")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      empty={t("mine.empty")}
      filters={<h2 className="list-title">{t("mine")}</h2>}
      columns={[
        { title: t("plans"), render: (_, row) => <strong>{row.plan.name}</strong> },
        {
          title: t("units"),
          render: (_, row) => (
            <span className="number">
              {row.units}
              {row.next_units !== null && <div className="quiet">{t("units.next", { count: row.next_units })}</div>}
            </span>
          ),
        },
        {
          title: t("state"),
          render: (_, row) => (
            <>
              <Tag color={row.phase === "active" ? "success" : "default"}>{t(`phase.${row.phase}`)}</Tag>
              {row.reason !== "" && <div className="quiet">{row.reason}</div>}
            </>
          ),
        },
        { title: t("ends"), render: (_, row) => <When at={row.ended_at ?? row.term_ends_at} /> },
        {
          title: t("next"),
          render: (_, row) => (row.next_fee === null ? <span className="quiet">{t("next.none")}</span> : <span className="number">{amount(row.next_fee, row.plan.currency)}</span>),
        },
        { title: tui("actions"), render: (_, row) => decides && row.phase === "active" && <Change row={row} /> },
      ]}
    />
  );
}

function Change({ row }: { row: SubscriptionOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const path = { subscription_id: row.id };
  const change = useMutation({ ...subscriptionsPartialUpdateMutation(), meta: { quiet: true } });
  const renew = useMutation(subscriptionsPartialUpdateMutation());
  const { name } = row.plan;
  return (
    <Space wrap>
      <FormDialog<{ units: number }>
        label={t("change")}
        title={t("change.title", { name })}
        send={tui("save")}
        load={() => seen(subscriptionsRetrieve({ path, throwOnError: true }))}
        changedBy={() => changedBy(row.id)}
        onSubmit={({ units }, tag) => change.mutateAsync({ path, body: { units }, headers: upon(tag) })}
      >
        <Form.Item name="units" label={t("units")} extra={t("change.extra")} rules={[{ required: true }]}>
          <InputNumber min={1} max={row.plan.most_units} precision={0} className="wide" />
        </Form.Item>
      </FormDialog>
      {row.renews ? (
        <Sure danger label={t("stop")} what={t("stop.what", { name })} breaks={t("stop.breaks")} onConfirm={() => renew.mutate({ path, body: { renews: false } })} />
      ) : (
        <Button loading={renew.isPending} onClick={() => renew.mutate({ path, body: { renews: true } })}>
          {t("resume")}
        </Button>
      )}
    </Space>
  );
}
