// The form of a fine-tune, drawn from what the platform says may be set, with the estimate beside it.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Card, Collapse, Form, Input, InputNumber, Radio, Select } from "antd";
import { useEffect, useState } from "react";
import { useSearchParams } from "react-router";
import {
  jobsCreateMutation,
  jobsRetrieveOptions,
  trainingMethodsRetrieveOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import { jobsEstimateCreate } from "@/api/generated/sdk.gen";
import type { JobIn, JobOut, MethodEnum, ScaleEnum } from "@/api/generated/types.gen";
import { useDatasetPick, useModelVersions } from "@/api/picks";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { PickVersion } from "@/ui/runs/PickVersion";
import "@/ui/runs/runs.css";
import { codeOf } from "./code";
import { Estimate } from "./Estimate";
import { Grader } from "./Grader";
import { HyperParameters } from "./HyperParameters";
import "./training.css";
import { useUnsaved } from "@/ui/useUnsaved";
import { words } from "./words";

type Draft = Omit<JobIn, "base" | "dataset"> & { base: string | undefined; dataset: string | undefined };
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

function useSettled<T>(value: T, ms = 400): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

const like = (job: JobOut): Draft => ({
  name: "",
  base: job.base.version_id,
  dataset: job.dataset.version_id,
  held_out: job.held_out?.version_id ?? null,
  model: job.model,
  method: job.method as MethodEnum,
  grader: job.grader,
  scale: job.scale as ScaleEnum,
  hyperparameters: job.given,
  seed: job.seed,
});

export default function NewJobPage() {
  const [search] = useSearchParams();
  const example = search.get("like");
  const found = useQuery({ ...jobsRetrieveOptions({ path: { job_id: example ?? "" } }), enabled: example !== null });
  if (example !== null && found.error) return <Refused refusal={refusalOf(found.error)} />;
  if (example !== null && found.data === undefined) return null;
  const first: Draft = found.data
    ? like(found.data)
    : { name: "", base: search.get("base") ?? undefined, dataset: search.get("dataset") ?? undefined, method: "sft", scale: "lora", hyperparameters: {}, seed: 0 };
  return <NewJob first={first} />;
}

function NewJob({ first }: { first: Draft }) {
  const t = words.use();
  const operates = useMay()("training", "operate");
  const [draft, setDraft] = useState(first);
  const go = useUnsaved(draft !== first);
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));
  const models = useModelVersions();
  const data = useDatasetPick(draft.dataset);
  const heldOut = useDatasetPick(draft.held_out ?? undefined);
  const methods = useQuery({
    ...trainingMethodsRetrieveOptions({ query: draft.base === undefined ? {} : { base: draft.base } }),
    staleTime: 60_000,
    placeholderData: (before) => before,
  });
  const schema = methods.data?.data.find((each) => each.method === draft.method && each.scale === draft.scale)?.hyperparameters ?? [];
  const served = [...new Set(methods.data?.data.map((each) => each.method))];
  const { base, dataset } = draft;
  // A name that does not fit is told at its field; the estimate does not depend on it.
  const ask: JobIn | null = base === undefined || dataset === undefined || (draft.method === "grpo" && !draft.grader) ? null : { ...draft, base, dataset, name: NAME.test(draft.name) ? draft.name : "draft" };
  const settled = useSettled(ask === null ? "" : JSON.stringify({ ...ask, name: "draft" }));
  const plan = useQuery({
    queryKey: ["jobsEstimate", settled],
    queryFn: async ({ signal }) => (await jobsEstimateCreate({ body: JSON.parse(settled) as JobIn, signal, throwOnError: true })).data,
    enabled: settled !== "",
    staleTime: 30_000,
    placeholderData: (before) => before,
  });
  const create = useMutation({ ...jobsCreateMutation(), onSuccess: (job) => go(`/training/${job.id}`) });
  const named = NAME.test(draft.name);
  return (
    <Page title={t("form.title")} lead={t("form.lead")} above={[{ to: "/training", title: t("title") }]}>
      {!operates && <Alert type="warning" title={t("form.blocked")} showIcon />}
      <div className="form-beside">
        <Form layout="vertical" onFinish={() => ask !== null && named && !create.isPending && create.mutate({ body: ask })}>
          <Card>
            <Form.Item
              label={t("form.name")}
              htmlFor="job-name"
              required
              extra={t("form.name.rule")}
              {...(draft.name !== "" && !named && { validateStatus: "error" as const })}
            >
              <Input id="job-name" maxLength={63} value={draft.name} onChange={(event) => set({ name: event.target.value })} />
            </Form.Item>
            <Form.Item label={t("form.base")} htmlFor="job-base" required>
              <Select
                id="job-base"
                showSearch={{ optionFilterProp: "label" }}
                loading={models.loading}
                value={draft.base ?? null}
                placeholder={t("form.base.pick")}
                options={models.choices.map(({ value, label }) => ({ value, label }))}
                onChange={(value: string) => set({ base: value })}
              />
            </Form.Item>
            <Form.Item label={t("form.dataset")} required>
              <PickVersion pick={data} label={t("form.dataset")} value={draft.dataset} onChange={(version) => set({ dataset: version })} />
            </Form.Item>
            <Form.Item label={t("form.held_out")} extra={t("form.held_out.why")}>
              <PickVersion
                pick={heldOut}
                label={t("form.held_out")}
                value={draft.held_out ?? undefined}
                onChange={(version) => set({ held_out: version ?? null })}
              />
            </Form.Item>
            <Form.Item label={t("form.method")} {...(draft.method !== "sft" && { extra: t(draft.method === "dpo" ? "form.method.dpo.why" : "form.method.grpo.why") })}>
              <Radio.Group
                aria-label={t("form.method")}
                value={draft.method}
                onChange={(event) => set({ method: event.target.value as MethodEnum, hyperparameters: {}, grader: null })}
                options={served.map((method) => ({ value: method, label: t(`form.method.${method}`) }))}
              />
            </Form.Item>
            {draft.method === "grpo" && <Grader grader={draft.grader ?? null} onChange={(grader) => set({ grader })} />}
            <Form.Item label={t("form.scale")}>
              <Radio.Group
                aria-label={t("form.scale")}
                value={draft.scale}
                onChange={(event) => set({ scale: event.target.value as ScaleEnum, hyperparameters: {} })}
                options={[
                  { value: "lora", label: t("form.scale.lora") },
                  { value: "full", label: t("form.scale.full") },
                ]}
              />
            </Form.Item>
          </Card>
          <Collapse
            className="form-more"
            items={[
              {
                key: "more",
                label: `${t("form.more")} · ${t("form.more.why")}`,
                children: (
                  <>
                    <HyperParameters
                      schema={schema}
                      given={draft.hyperparameters ?? {}}
                      resolved={plan.data?.hyperparameters ?? {}}
                      why={plan.data?.why ?? {}}
                      onChange={(hyperparameters) => set({ hyperparameters })}
                    />
                    <div className="hyper-grid">
                      <Form.Item label={t("form.model")} htmlFor="job-model" extra={t("form.model.why")}>
                        <Input id="job-model" maxLength={63} value={draft.model ?? ""} onChange={(event) => set({ model: event.target.value })} />
                      </Form.Item>
                      <Form.Item label={t("seed")} htmlFor="job-seed">
                        <InputNumber id="job-seed" className="wide" min={0} max={2 ** 31 - 1} precision={0} value={draft.seed ?? 0} onChange={(seed) => set({ seed: seed ?? 0 })} />
                      </Form.Item>
                    </div>
                  </>
                ),
              },
              ...(ask === null ? [] : [{ key: "code", label: t("code"), children: <CodeTabs samples={codeOf(ask)} /> }]),
            ]}
          />
          <Button type="primary" size="large" htmlType="submit" loading={create.isPending} disabled={ask === null || !named || !operates}>
            {t("form.submit")}
          </Button>
        </Form>
        <Estimate
          asked={ask !== null}
          waiting={plan.isFetching}
          estimate={plan.data?.estimate}
          refusal={plan.error && refusalOf(plan.error)}
        />
      </div>
    </Page>
  );
}
