// Limits over one's work, how much of each is used, when it will bite; and asking for more.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, InputNumber, Progress, Tag } from "antd";
import { listed } from "@/api/cursor";
import { quotaRequestsCreateMutation, quotaRequestsListOptions, quotasListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { BoundOut, QuotaRequestKind } from "@/api/generated/types.gen";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { LinkButton } from "@/ui/runs/LinkButton";
import { words as uiWords } from "@/ui/words";
import { amount } from "./amount";
import { type Figures, filled, instantOf, Lines, useFigures, useSaid } from "./quota";
import { QuotaRequests } from "./QuotaRequests";
import { words } from "./quotaWords";

type Given = { wanted: Figures; why: string; until?: string };

export default function QuotasPage() {
  const t = words.use();
  const tui = uiWords.use();
  const said = useSaid();
  const found = useQuery(quotasListOptions());
  const open = useQuery(quotaRequestsListOptions({ query: { state: "asked", limit: 500 } }));
  const asked = new Set(open.data?.data.map((each) => each.limit_id));
  return (
    <Page title={t("quotas")} lead={t("quotas.lead")}>
      <ListTable<BoundOut>
        label={t("quotas")}
        rowKey={(row) => row.limit_id}
        {...listed(found)}
        empty={t("quotas.empty")}
        columns={[
          { title: t("limit"), render: (_, row) => said(row) },
          { title: t("now"), render: (_, row) => <Lines figures={row.fields} currency={row.currency} /> },
          { title: t("used"), render: (_, row) => <Used bound={row} /> },
          { title: t("bites"), render: (_, row) => (row.used === null ? "–" : row.used >= 1 ? <Tag color="error">{t("bites.already")}</Tag> : row.bites_at === null ? <span className="quiet">{t("bites.never")}</span> : <When at={row.bites_at} />) },
          { title: tui("actions"), render: (_, row) => <More bound={row} asked={asked.has(row.limit_id)} /> },
        ]}
      />
      <QuotaRequests />
    </Page>
  );
}

function Used({ bound }: { bound: BoundOut }) {
  const t = words.use();
  const said = useSaid();
  if (bound.used === null || bound.left === null) return <span className="quiet">{t("rate.no_use")}</span>;
  const percent = Math.min(100, Math.floor(bound.used * 100));
  return (
    <div className="budget-bar">
      <Progress percent={percent} size="small" status={percent >= 100 ? "exception" : "normal"} aria-label={said(bound)} />
      <span className="quiet number">{t("left", { amount: amount(bound.left, bound.currency) })}</span>
    </div>
  );
}

/** More of a limit of the house is taken as a plan; of others it is asked for. */
function More({ bound, asked }: { bound: BoundOut; asked: boolean }) {
  const t = words.use();
  if (bound.kind === "house") return <LinkButton to="/system/money?tab=plans">{t("house.more")}</LinkButton>;
  return asked ? <Tag color="processing">{t("ask.waits")}</Tag> : <Ask bound={bound} kind={bound.kind} />;
}

function Ask({ bound, kind }: { bound: BoundOut; kind: QuotaRequestKind }) {
  const t = words.use();
  const said = useSaid();
  const figures = useFigures();
  const ask = useMutation({ ...quotaRequestsCreateMutation(), meta: { quiet: true } });
  const names = Object.keys(bound.fields);
  return (
    <FormDialog<Given>
      label={t("ask")}
      title={`${t("ask")} · ${said(bound)}`}
      onSubmit={({ wanted, why, until }) =>
        ask.mutateAsync({ body: { kind, limit_id: bound.limit_id, wanted: filled(wanted), why, until: instantOf(until) } })
      }
    >
      {names.map((name) => (
        <Form.Item
          key={name}
          name={["wanted", name]}
          label={t(`field.${name as "limit"}`)}
          extra={t("ask.more_than", { now: figures({ [name]: bound.fields[name] }, bound.currency) })}
          rules={names.length === 1 ? [{ required: true }] : []}
        >
          {name === "limit" ? <InputNumber stringMode min="0" precision={6} className="wide" /> : <InputNumber min={1} max={1e9} precision={0} className="wide" />}
        </Form.Item>
      ))}
      <Form.Item name="why" label={t("ask.why")} rules={[{ required: true, whitespace: true, message: t("ask.why.missing") }]}>
        <Input.TextArea rows={3} maxLength={1000} />
      </Form.Item>
      <Form.Item name="until" label={t("ask.until")} extra={t("ask.until.extra")}>
        <Input type="datetime-local" />
      </Form.Item>
    </FormDialog>
  );
}
