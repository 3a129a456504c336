// The form of an evaluation: who is judged, on what, by which metrics, and what the gate asks.
import { useMutation } from "@tanstack/react-query";
import { Alert, Button, Card, Form, Input, InputNumber, Select } from "antd";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { evalsCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { EvalIn, MetricsEnum, RuleIn } from "@/api/generated/types.gen";
import { useDatasetPick, useModelVersions } from "@/api/picks";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { PickVersion } from "@/ui/runs/PickVersion";
import "@/ui/runs/runs.css";
import { codeOf } from "./code";
import "./evaluation.css";
import { useUnsaved } from "@/ui/useUnsaved";
import { words } from "./words";

type Bound = "min" | "not_worse";
type Draft = Omit<EvalIn, "dataset" | "metrics" | "gate"> & { dataset: string | undefined; metrics: MetricsEnum[]; gate: RuleIn[] };
// A metric that the platform learns or forgets does not compile until it stands here too.
const KNOWN = {
  exact_match: true,
  contains: true,
  json_equal: true,
  accuracy: true,
  macro_f1: true,
  bleu_4: true,
  rouge_1: true,
  rouge_2: true,
  rouge_l: true,
} satisfies Record<MetricsEnum, true>;
const METRICS = Object.keys(KNOWN) as MetricsEnum[];

export default function NewEvalPage() {
  const t = words.use();
  const operates = useMay()("evaluation", "operate");
  const [search] = useSearchParams();
  const [first] = useState<Draft>({
    name: "",
    candidates: search.get("candidates")?.split(",").filter(Boolean) ?? [],
    dataset: search.get("dataset") ?? undefined,
    metrics: ["exact_match"],
    max_tokens: 256,
    gate: [],
  });
  const [draft, setDraft] = useState(first);
  const go = useUnsaved(draft !== first);
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));
  const models = useModelVersions();
  const data = useDatasetPick(draft.dataset);
  const create = useMutation({ ...evalsCreateMutation(), meta: { quiet: true }, onSuccess: (run) => go(`/evaluation/${run.id}`) });
  const body: EvalIn | null =
    draft.dataset === undefined || draft.candidates.length === 0 || draft.metrics.length === 0 || draft.name.trim() === "" ? null : { ...draft, dataset: draft.dataset };
  const taught = models.choices.filter((each) => draft.candidates.includes(each.value) && draft.dataset !== undefined && each.taughtBy === draft.dataset).map((each) => each.label);
  const named = (id: string) => models.choices.find((each) => each.value === id)?.label ?? id;
  return (
    <Page title={t("form.title")} lead={t("lead")} above={[{ to: "/evaluation", title: t("title") }]}>
      {!operates && <Alert type="warning" title={t("form.blocked")} showIcon />}
      <Card className="eval-form">
        {create.error && <Refused refusal={refusalOf(create.error)} />}
        <Form layout="vertical" onFinish={() => body !== null && !create.isPending && create.mutate({ body })}>
          <Form.Item label={t("form.name")} htmlFor="eval-name" required>
            <Input id="eval-name" maxLength={127} value={draft.name} onChange={(event) => set({ name: event.target.value })} />
          </Form.Item>
          <Form.Item label={t("form.candidates")} htmlFor="eval-candidates" required extra={t("form.candidates.why")}>
            <Select
              id="eval-candidates"
              mode="multiple"
              loading={models.loading}
              showSearch={{ optionFilterProp: "label" }}
              value={draft.candidates}
              options={models.choices.map(({ value, label }) => ({ value, label }))}
              onChange={(candidates: string[]) => set({ candidates, gate: draft.gate.filter((each) => candidates.includes(each.candidate)) })}
            />
          </Form.Item>
          <Form.Item label={t("form.data")} required extra={t("form.data.why")}>
            <PickVersion pick={data} label={t("form.data")} value={draft.dataset} onChange={(dataset) => set({ dataset })} />
          </Form.Item>
          {taught.length > 0 && <Alert className="eval-taught" type="warning" showIcon title={t("taught", { names: taught.join(" · ") })} />}
          <div className="grid2">
            <Form.Item label={t("form.metrics")} htmlFor="eval-metrics" required>
              <Select
                id="eval-metrics"
                mode="multiple"
                value={draft.metrics}
                options={METRICS.map((each) => ({ value: each, label: each }))}
                onChange={(metrics: MetricsEnum[]) => set({ metrics })}
              />
            </Form.Item>
            <Form.Item label={t("form.max_tokens")} htmlFor="eval-tokens">
              <InputNumber id="eval-tokens" min={1} max={32_768} precision={0} value={draft.max_tokens ?? 256} onChange={(value) => set({ max_tokens: value ?? 256 })} />
            </Form.Item>
          </div>
          <Form.Item label={t("form.gate")}>
            {draft.gate.map((rule, index) => {
              const change = (next: Partial<RuleIn>) => set({ gate: draft.gate.map((each, at) => (at === index ? { ...each, ...next } : each)) });
              const bound: Bound = rule.not_worse === null || rule.not_worse === undefined ? "min" : "not_worse";
              return (
                <div key={index} className="eval-rule">
                  <Select
                    aria-label={t("form.gate.candidate")}
                    value={rule.candidate}
                    options={draft.candidates.map((id) => ({ value: id, label: named(id) }))}
                    onChange={(candidate: string) => change({ candidate })}
                  />
                  <Input aria-label={t("form.gate.group")} title={t("form.gate.group")} value={rule.group ?? ""} onChange={(event) => change({ group: event.target.value })} />
                  <Select
                    aria-label={t("metric")}
                    value={rule.metric}
                    options={draft.metrics.map((each) => ({ value: each, label: each }))}
                    onChange={(metric: string) => change({ metric })}
                  />
                  <Select
                    aria-label={t("form.gate.bound")}
                    value={bound}
                    options={(["min", "not_worse"] as const).map((each) => ({ value: each, label: t(`form.gate.${each}`) }))}
                    onChange={(next: Bound) => change(next === "min" ? { min: 0.9, not_worse: null } : { min: null, not_worse: 0.02 })}
                  />
                  <InputNumber
                    aria-label={t("form.gate.bound")}
                    step={0.01}
                    value={rule[bound] ?? null}
                    onChange={(value) => change({ [bound]: value ?? 0 })}
                  />
                  <Button onClick={() => set({ gate: draft.gate.filter((_, at) => at !== index) })}>{t("form.gate.remove")}</Button>
                </div>
              );
            })}
            <Button
              disabled={draft.candidates.length === 0 || draft.metrics.length === 0}
              onClick={() =>
                set({ gate: [...draft.gate, { candidate: draft.candidates.at(-1) ?? "", group: "all", metric: draft.metrics[0] ?? "exact_match", min: 0.9, not_worse: null }] })
              }
            >
              {t("form.gate.add")}
            </Button>
          </Form.Item>
          <Button type="primary" htmlType="submit" loading={create.isPending} disabled={body === null || !operates}>
            {t("form.submit")}
          </Button>
        </Form>
      </Card>
      {body !== null && (
        <Card title={t("code")}>
          <CodeTabs samples={codeOf(body)} />
        </Card>
      )}
    </Page>
  );
}
