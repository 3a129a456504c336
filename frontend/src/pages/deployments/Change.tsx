// What may be done to a deployment: start, stop, roll back, delete; scale it, or serve another version.
import { useMutation } from "@tanstack/react-query";
import { Button, InputNumber, Select, Space } from "antd";
import { useState } from "react";
import {
  deploymentsDestroyMutation,
  deploymentsRollbackCreateMutation,
  deploymentsScaleCreateMutation,
  deploymentsStartCreateMutation,
  deploymentsStopCreateMutation,
  deploymentsSwapCreateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import type { DeploymentOut } from "@/api/generated/types.gen";
import { GONE, useLeave } from "@/api/leave";
import { useModelVersions } from "@/api/picks";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { Sure } from "@/ui/runs/Sure";
import { words } from "./words";

export function Verbs({ deployment }: { deployment: DeploymentOut }) {
  const t = words.use();
  const may = useMay();
  const leave = useLeave();
  const { name, phase } = deployment;
  const path = { deployment_id: deployment.id };
  const start = useMutation(deploymentsStartCreateMutation());
  const stop = useMutation(deploymentsStopCreateMutation());
  const rollBack = useMutation(deploymentsRollbackCreateMutation());
  const remove = useMutation({ ...deploymentsDestroyMutation(), meta: GONE, onSuccess: () => void leave("/deployments") });
  const down = phase === "stopped" || phase === "failed" || phase === "sleeping";
  return (
    <Space wrap>
      {down && (
        <Button type="primary" loading={start.isPending} onClick={() => start.mutate({ path })}>
          {t(phase === "sleeping" ? "wake" : "start")}
        </Button>
      )}
      {(phase === "updating" || (!down && (deployment.serving?.number ?? 0) > 1)) && (
        <Sure label={t("rollback")} what={t("rollback.what", { name })} breaks={t("rollback.breaks")} busy={rollBack.isPending} onConfirm={() => rollBack.mutate({ path })} />
      )}
      {(!down || phase === "sleeping") && phase !== "stopping" && phase !== "deleting" && (
        <Sure danger label={t("stop")} what={t("stop.what", { name })} breaks={t("stop.breaks")} busy={stop.isPending} onConfirm={() => stop.mutate({ path })} />
      )}
      {may("deployments", "full") && <Danger name={name} breaks={t("delete.breaks")} busy={remove.isPending} disabled={phase === "deleting"} onConfirm={() => remove.mutate({ path })} />}
    </Space>
  );
}

export function Change({ deployment }: { deployment: DeploymentOut }) {
  const t = words.use();
  const path = { deployment_id: deployment.id };
  const [replicas, setReplicas] = useState<number | null>(null);
  const [model, setModel] = useState<string | null>(null);
  const models = useModelVersions();
  const scale = useMutation({ ...deploymentsScaleCreateMutation(), onSuccess: () => setReplicas(null) });
  const swap = useMutation({ ...deploymentsSwapCreateMutation(), onSuccess: () => setModel(null) });
  const chosen = models.choices.find((each) => each.value === model);
  return (
    <div className="deploy-change">
      <div>
        <label htmlFor="scale-replicas">{t("scale")}</label>
        <Space.Compact>
          <InputNumber id="scale-replicas" min={1} precision={0} value={replicas ?? deployment.replicas} onChange={setReplicas} />
          <Button
            loading={scale.isPending}
            disabled={replicas === null || replicas === deployment.replicas}
            onClick={() => replicas !== null && scale.mutate({ path, body: { replicas } })}
          >
            {t("scale.do")}
          </Button>
        </Space.Compact>
      </div>
      <div className="deploy-swap">
        <label htmlFor="swap-model">{t("swap")}</label>
        <Space>
          <Select
            id="swap-model"
            className="deploy-pick"
            showSearch={{ optionFilterProp: "label" }}
            loading={models.loading}
            value={model}
            options={models.choices.filter((each) => each.value !== deployment.version_id).map(({ value, label }) => ({ value, label }))}
            onChange={setModel}
          />
          {chosen !== undefined && (
            <Sure
              label={t("swap.do")}
              what={t("swap.what", { name: deployment.name, model: chosen.label })}
              breaks={t("swap.breaks")}
              busy={swap.isPending}
              onConfirm={() => swap.mutate({ path, body: { model: chosen.value } })}
            />
          )}
        </Space>
      </div>
    </div>
  );
}
