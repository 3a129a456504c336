// Rules of traffic: by whom a name is answered, each by its share, and by whom when they cannot.
import { MinusCircleOutlined, PlusOutlined } from "@ant-design/icons";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, AutoComplete, Button, Form, InputNumber, Select } from "antd";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import { deploymentsListOptions, externalsListOptions, trafficChangeMutation, trafficDestroyMutation, trafficListOptions, trafficUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { trafficRetrieve } from "@/api/generated/sdk.gen";
import type { TrafficRuleIn, TrafficRuleOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Blank } from "@/ui/runs/Blank";
import { Sure } from "@/ui/runs/Sure";
import { Shares } from "@/ui/Shares";
import { words as uiWords } from "@/ui/words";
import { left } from "./shares";
import { words } from "./words";

/** What a rule may send to: deployments and external models of the project. */
function useAnswering(): string[] {
  const deployments = useQuery({ ...deploymentsListOptions({ query: { limit: 200 } }), staleTime: 15_000 });
  const externals = useQuery({ ...externalsListOptions({ query: { limit: 200 } }), staleTime: 15_000 });
  return [...(deployments.data?.data ?? []), ...(externals.data?.data ?? [])].map((each) => each.name);
}

export function RuleDialog({ rule, name = "", label }: { rule?: TrafficRuleOut; name?: string; label: string }) {
  const t = words.use();
  const tui = uiWords.use();
  const set = useMutation({ ...trafficUpdateMutation(), meta: { quiet: true } });
  const change = useMutation({ ...trafficChangeMutation(), meta: { quiet: true } });
  const initial: TrafficRuleIn = rule ?? { name, targets: [{ model: name, percent: 100 }], fallbacks: [], hedge_after_ms: null };
  return (
    <FormDialog<TrafficRuleIn>
      label={label}
      title={t("rule.title")}
      send={tui("save")}
      type={rule === undefined && name === "" ? "primary" : "default"}
      width={620}
      initial={initial}
      {...(rule !== undefined && {
        load: () => seen(trafficRetrieve({ path: { rule_id: rule.id }, throwOnError: true })),
        changedBy: () => changedBy(rule.id),
      })}
      onSubmit={({ name: of, targets, fallbacks = [], hedge_after_ms = null }, tag) =>
        rule === undefined
          ? set.mutateAsync({ body: { name: of, targets, fallbacks, hedge_after_ms } })
          : change.mutateAsync({ path: { rule_id: rule.id }, body: { targets, fallbacks, hedge_after_ms }, headers: upon(tag) })
      }
    >
      <RuleFields fixed={rule !== undefined || name !== ""} />
    </FormDialog>
  );
}

function RuleFields({ fixed }: { fixed: boolean }) {
  const t = words.use();
  const names = useAnswering();
  const options = names.map((value) => ({ value }));
  const targets = Form.useWatch<TrafficRuleIn["targets"] | undefined>("targets") ?? [];
  const over = left(targets);
  return (
    <>
      <Form.Item name="name" label={t("rule.name")} extra={t("rule.name.why")} rules={[{ required: true }]}>
        <AutoComplete options={options} disabled={fixed} />
      </Form.Item>
      <Form.List name="targets">
        {(fields, { add, remove }) => (
          <fieldset className="rule-targets">
            <legend>{t("rule.targets")}</legend>
            {fields.map(({ key, name }, index) => (
              <div key={key} className="rule-target">
                <Form.Item name={[name, "model"]} label={t("rule.model", { n: index + 1 })} rules={[{ required: true }]}>
                  <AutoComplete options={options} />
                </Form.Item>
                <Form.Item name={[name, "percent"]} label={t("rule.percent", { n: index + 1 })} rules={[{ required: true }]}>
                  <InputNumber min={1} max={100} precision={0} suffix="%" />
                </Form.Item>
                <Button type="text" icon={<MinusCircleOutlined />} aria-label={t("rule.remove", { n: index + 1 })} disabled={fields.length === 1} onClick={() => remove(name)} />
              </div>
            ))}
            <Button icon={<PlusOutlined />} onClick={() => add({ model: "", percent: Math.max(1, over) })}>
              {t("rule.add")}
            </Button>
          </fieldset>
        )}
      </Form.List>
      {over !== 0 && <Alert type="warning" showIcon title={t(over > 0 ? "rule.missing" : "rule.over", { n: Math.abs(over) })} />}
      <Form.Item name="fallbacks" label={t("rule.fallbacks")} extra={t("rule.fallbacks.why")}>
        <Select mode="tags" options={options} />
      </Form.Item>
      <Form.Item name="hedge_after_ms" label={t("rule.hedge")} extra={t("rule.hedge.why")}>
        <InputNumber min={50} max={60_000} precision={0} className="wide" placeholder={t("never")} />
      </Form.Item>
    </>
  );
}

export function Rules() {
  const t = words.use();
  const tui = uiWords.use();
  const operates = useMay()("deployments", "operate");
  const pager = usePager(BY_NAME);
  const found = useQuery(trafficListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order } }));
  const fresh = operates && <RuleDialog label={t("rule.new")} />;
  return (
    <ListTable<TrafficRuleOut>
      label={t("rules")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      filters={fresh}
      empty={<Blank title={t("rules.empty")} text={t("rules.empty.why")} />}
      columns={[
        { title: t("rule.name"), dataIndex: "name", key: "name", sorter: true },
        { title: t("rule.targets"), render: (_, row) => <Shares of={row.targets.map((each) => ({ name: each.model, percent: each.percent }))} /> },
        { title: t("rule.fallbacks"), render: (_, row) => row.fallbacks.join(" → ") || "–" },
        { title: t("rule.hedge"), align: "end", render: (_, row) => (row.hedge_after_ms === null ? t("never") : `${row.hedge_after_ms} ms`) },
        { title: tui("actions"), render: (_, row) => operates && <RuleVerbs rule={row} /> },
      ]}
    />
  );
}

export function RuleVerbs({ rule }: { rule: TrafficRuleOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const lift = useMutation(trafficDestroyMutation());
  return (
    <span className="verbs">
      <RuleDialog rule={rule} label={tui("edit")} />
      <Sure danger label={t("rule.lift")} what={t("rule.lift.what", { name: rule.name })} breaks={t("rule.lift.breaks")} busy={lift.isPending} onConfirm={() => lift.mutate({ path: { rule_id: rule.id } })} />
    </span>
  );
}
