// How fast models may be asked here: by the whole project, by one key, of one model.
import { useMutation, useQuery } from "@tanstack/react-query";
import { AutoComplete, Form, InputNumber, Select, Space } from "antd";
import { listed, usePager } from "@/api/cursor";
import { deploymentsListOptions, keysListOptions, limitsChangeMutation, limitsDestroyMutation, limitsListOptions, limitsUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import { limitsRetrieve } from "@/api/generated/sdk.gen";
import type { RateLimitIn, RateLimitOut, RatesIn } from "@/api/generated/types.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { useMay } from "@/shell/session";
import { count } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

const RATES = ["requests_per_minute", "tokens_per_minute", "at_once"] as const;
const whole = (given: RatesIn): RatesIn => Object.fromEntries(RATES.map((rate) => [rate, given[rate] ?? null]));

export default function LimitsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const decides = useMay()("access", "full");
  const pager = usePager();
  const found = useQuery(limitsListOptions({ query: { limit: 50, cursor: pager.cursor } }));
  const keys = useQuery({ ...keysListOptions({ query: { limit: 500 } }), staleTime: 30_000 });
  const deployments = useQuery({ ...deploymentsListOptions({ query: { limit: 500 } }), staleTime: 30_000 });
  const set = useMutation({ ...limitsUpdateMutation(), meta: { quiet: true } });
  const change = useMutation({ ...limitsChangeMutation(), meta: { quiet: true } });
  const lift = useMutation(limitsDestroyMutation());
  const keyOf = (row: RateLimitOut) => (row.key_id === null ? t("limit.every_key") : (keys.data?.data.find((each) => each.id === row.key_id)?.name ?? row.key_id));
  const rates = RATES.map((rate) => (
    <Form.Item key={rate} name={rate} label={t(`limit.${rate}`)}>
      <InputNumber<number> min={1} max={1e9} precision={0} className="wide" placeholder={t("limit.none")} />
    </Form.Item>
  ));
  return (
    <Page
      title={t("limits")}
      lead={t("limits.lead")}
      actions={
        decides && (
          <FormDialog<RateLimitIn> type="primary" label={t("limit.set")} initial={{ model: "" }} onSubmit={(given) => set.mutateAsync({ body: { ...whole(given), key_id: given.key_id ?? null, model: given.model ?? "" } })}>
            <Form.Item name="key_id" label={t("limit.key")}>
              <Select allowClear placeholder={t("limit.every_key")} options={(keys.data?.data ?? []).filter((each) => each.revoked_at === null).map((each) => ({ value: each.id, label: `${each.name} (${each.redacted})` }))} />
            </Form.Item>
            <Form.Item name="model" label={t("limit.model")}>
              <AutoComplete allowClear placeholder={t("limit.every_model")} options={(deployments.data?.data ?? []).map((each) => ({ value: each.name }))} />
            </Form.Item>
            {rates}
          </FormDialog>
        )
      }
    >
      <ListTable<RateLimitOut>
        label={t("limits")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={t("limits.empty")}
        columns={[
          { title: t("limit.key"), render: (_, row) => keyOf(row) },
          { title: t("limit.model"), render: (_, row) => (row.model === "" ? t("limit.every_model") : row.model) },
          ...RATES.map((rate) => ({
            title: t(`limit.${rate}`),
            align: "end" as const,
            render: (_: unknown, row: RateLimitOut) => {
              const value = row[rate];
              return value === null ? <span className="quiet">{t("limit.none")}</span> : count(value);
            },
          })),
          {
            title: tui("actions"),
            render: (_, row) =>
              decides && (
                <Space>
                  <FormDialog<RatesIn>
                    label={tui("edit")}
                    title={t("limit.edit", { key: keyOf(row), model: row.model || t("limit.every_model") })}
                    send={tui("save")}
                    load={() => seen(limitsRetrieve({ path: { limit_id: row.id }, throwOnError: true }))}
                    changedBy={() => changedBy(row.id)}
                    onSubmit={(given, tag) => change.mutateAsync({ path: { limit_id: row.id }, body: whole(given), headers: upon(tag) })}
                  >
                    {rates}
                  </FormDialog>
                  <Sure danger label={t("limit.lift")} what={t("limit.lift.what")} breaks={t("limit.lift.breaks")} onConfirm={() => lift.mutate({ path: { limit_id: row.id } })} />
                </Space>
              ),
          },
        ]}
      />
    </Page>
  );
}
