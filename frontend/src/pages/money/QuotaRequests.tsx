// Who asked for more of what, what became of it, and the answer of whoever may give one.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, InputNumber, Select, Space, Tag } from "antd";
import { listed, useFilter, usePager } from "@/api/cursor";
import {
  quotaRequestsDestroyMutation,
  quotaRequestsGrantCreateMutation,
  quotaRequestsListOptions,
  quotaRequestsRefuseCreateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import type { QuotaRequestOut, RefuseIn } from "@/api/generated/types.gen";
import { useSession } from "@/shell/session";
import { dateTime, When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { fieldOf, type Figures, filled, instantOf, Lines, useFigures, useSaid } from "./quota";
import { words } from "./quotaWords";

const STATES = ["asked", "granted", "refused", "withdrawn", "lapsed"] as const;
const COLOURS = { asked: "processing", granted: "success", refused: "error", withdrawn: "default", lapsed: "default" } as const;
type Given = { given: Figures; until?: string; answer?: string };

export function QuotaRequests() {
  const t = words.use();
  const said = useSaid();
  const session = useSession();
  const pager = usePager();
  const [state, setState] = useFilter("state");
  const asked = STATES.find((each) => each === state);
  const found = useQuery(quotaRequestsListOptions({ query: { limit: 20, cursor: pager.cursor, ...(asked !== undefined && { state: asked }) } }));
  const elsewhere = found.data?.data.some((row) => row.project_id !== session.project.id) ?? false;
  return (
    <ListTable<QuotaRequestOut>
      label={t("requests")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      empty={t(asked === undefined ? "requests.empty" : "requests.empty.state")}
      filters={
        <>
          <h2 className="list-title">{t("requests")}</h2>
          <Select
            className="choice"
            aria-label={t("state")}
            value={asked ?? "all"}
            onChange={(value: string) => setState(value === "all" ? undefined : value)}
            options={(["all", ...STATES] as const).map((each) => ({ value: each, label: t(`state.${each}`) }))}
          />
        </>
      }
      columns={[
        {
          title: t("request.what"),
          render: (_, row) => (
            <div className="request-said">
              {said(row)}
              <div className="quiet">{row.why}</div>
              <div className="quiet">{row.asked_by} · <When at={row.created_at} /></div>
            </div>
          ),
        },
        ...(elsewhere ? [{ title: t("request.project"), render: (_: unknown, row: QuotaRequestOut) => session.projects.find((each) => each.id === row.project_id)?.name ?? row.project_id.slice(0, 8) }] : []),
        { title: t("request.wanted"), render: (_, row) => <Lines figures={row.wanted} currency={row.currency} /> },
        { title: t("request.until"), render: (_, row) => <Term row={row} /> },
        {
          title: t("request.answer"),
          render: (_, row) => (
            <div className="request-said stack">
              <div>
                <Tag color={COLOURS[row.state]}>{t(`state.${row.state}`)}</Tag>
                <Lines figures={row.granted} currency={row.currency} />
                {row.answered_by !== "" && <div className="quiet">{row.answered_by}{row.answer !== "" && `: ${row.answer}`}</div>}
              </div>
              <Verbs row={row} />
            </div>
          ),
        },
      ]}
    />
  );
}

function Term({ row }: { row: QuotaRequestOut }) {
  const t = words.use();
  const figures = useFigures();
  const before = figures(row.before, row.currency);
  if (row.lapsed_at !== null) return <span className="quiet">{t("request.lapsed", { at: dateTime(row.lapsed_at), before })}</span>;
  if (row.until === null) return <>{t("request.forever")}</>;
  return (
    <>
      {dateTime(row.until)}
      {row.state === "granted" && <div className="quiet">{t("request.then", { before })}</div>}
    </>
  );
}

function Verbs({ row }: { row: QuotaRequestOut }) {
  const t = words.use();
  const { user } = useSession();
  const path = { request_id: row.id };
  const grant = useMutation({ ...quotaRequestsGrantCreateMutation(), meta: { quiet: true } });
  const refuse = useMutation({ ...quotaRequestsRefuseCreateMutation(), meta: { quiet: true } });
  const withdraw = useMutation(quotaRequestsDestroyMutation());
  if (row.state !== "asked") return null;
  return (
    <Space wrap>
      {row.may_answer && (
        <>
          <FormDialog<Given>
            type="primary"
            label={t("grant")}
            title={t("grant.title", { name: row.asked_by })}
            initial={{ given: row.wanted, ...(row.until !== null && { until: fieldOf(row.until) }) }}
            onSubmit={({ given, until, answer }) => grant.mutateAsync({ path, body: { given: filled(given), until: instantOf(until), answer: answer ?? "" } })}
          >
            {Object.keys(row.wanted).map((name) => (
              <Form.Item key={name} name={["given", name]} label={t(`field.${name as "limit"}`)} extra={t("grant.given")} rules={[{ required: true }]}>
                {name === "limit" ? <InputNumber stringMode min="0" precision={6} className="wide" /> : <InputNumber min={1} max={1e9} precision={0} className="wide" />}
              </Form.Item>
            ))}
            <Form.Item name="until" label={t("request.until")} extra={t("grant.until.extra")}>
              <Input type="datetime-local" />
            </Form.Item>
            <Form.Item name="answer" label={t("grant.answer")}>
              <Input.TextArea rows={2} maxLength={1000} />
            </Form.Item>
          </FormDialog>
          <FormDialog<RefuseIn> label={t("refuse")} title={t("refuse.title", { name: row.asked_by })} onSubmit={(body) => refuse.mutateAsync({ path, body })}>
            <Form.Item name="answer" label={t("refuse.why")} rules={[{ required: true, whitespace: true, message: t("refuse.why.missing") }]}>
              <Input.TextArea rows={3} maxLength={1000} />
            </Form.Item>
          </FormDialog>
        </>
      )}
      {row.asked_by === user && <Sure label={t("withdraw")} what={t("withdraw.what")} breaks={t("withdraw.breaks")} busy={withdraw.isPending} onConfirm={() => withdraw.mutate({ path })} />}
    </Space>
  );
}
