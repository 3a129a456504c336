// The form that puts a model version behind a name.
import { useMutation } from "@tanstack/react-query";
import { Alert, Button, Card, Form, Input, InputNumber, Select } from "antd";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { deploymentsCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { DeploymentIn } from "@/api/generated/types.gen";
import { useModelVersions } from "@/api/picks";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import "./deployments.css";
import { useUnsaved } from "@/ui/useUnsaved";
import { words } from "./words";

export default function NewDeploymentPage() {
  const t = words.use();
  const operates = useMay()("deployments", "operate");
  const [search] = useSearchParams();
  const [first] = useState<DeploymentIn>({ model: search.get("model") ?? "", name: "", replicas: 1, drain_seconds: 60 });
  const [draft, setDraft] = useState(first);
  const go = useUnsaved(draft !== first);
  const set = (change: Partial<DeploymentIn>) => setDraft((now) => ({ ...now, ...change }));
  const models = useModelVersions();
  const create = useMutation({
    ...deploymentsCreateMutation(),
    meta: { quiet: true },
    onSuccess: (made) => go(`/deployments/${made.id}`),
  });
  return (
    <Page title={t("form.title")} above={[{ to: "/deployments", title: t("title") }]}>
      {!operates && <Alert type="warning" title={t("form.blocked")} showIcon />}
      <Card className="deploy-form">
        {create.error && <Refused refusal={refusalOf(create.error)} />}
        <Form layout="vertical" onFinish={() => !create.isPending && create.mutate({ body: draft })}>
          <Form.Item label={t("form.model")} htmlFor="deploy-model" required>
            <Select
              id="deploy-model"
              showSearch={{ optionFilterProp: "label" }}
              loading={models.loading}
              value={draft.model || null}
              options={models.choices.map(({ value, label }) => ({ value, label }))}
              onChange={(model: string) => set({ model })}
            />
          </Form.Item>
          <Form.Item label={t("form.name")} htmlFor="deploy-name" extra={t("form.name.why")}>
            <Input id="deploy-name" maxLength={63} value={draft.name ?? ""} onChange={(event) => set({ name: event.target.value })} />
          </Form.Item>
          <div className="grid2">
            <Form.Item label={t("form.replicas")} htmlFor="deploy-replicas">
              <InputNumber id="deploy-replicas" min={1} precision={0} value={draft.replicas ?? 1} onChange={(replicas) => set({ replicas: replicas ?? 1 })} />
            </Form.Item>
            <Form.Item label={t("form.drain")} htmlFor="deploy-drain" extra={t("form.drain.why")}>
              <InputNumber id="deploy-drain" min={0} max={86_400} precision={0} value={draft.drain_seconds ?? 60} onChange={(value) => set({ drain_seconds: value ?? 60 })} />
            </Form.Item>
          </div>
          <Button type="primary" htmlType="submit" loading={create.isPending} disabled={draft.model === "" || !operates}>
            {t("form.submit")}
          </Button>
        </Form>
      </Card>
    </Page>
  );
}
