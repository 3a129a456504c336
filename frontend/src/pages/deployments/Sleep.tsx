// How many requests a deployment is sent at a time, how many wait, and when it sleeps; edited by one at a time.
import { useMutation } from "@tanstack/react-query";
import { Form, InputNumber } from "antd";
import { changedBy, seen, upon } from "@/api/editing";
import { deploymentsPartialUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import { deploymentsRetrieve } from "@/api/generated/sdk.gen";
import type { DeploymentOut, PatchedDeploymentChange } from "@/api/generated/types.gen";
import { FormDialog } from "@/ui/FormDialog";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function SleepDialog({ deployment }: { deployment: DeploymentOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const path = { deployment_id: deployment.id };
  const change = useMutation({ ...deploymentsPartialUpdateMutation(), meta: { quiet: true } });
  return (
    <FormDialog<PatchedDeploymentChange>
      label={t("rules.edit")}
      title={t("rules.title", { name: deployment.name })}
      send={tui("save")}
      load={async () => {
        const { thing, tag } = await seen(deploymentsRetrieve({ path, throwOnError: true }));
        return { thing: { at_once: thing.at_once, queue: thing.queue, sleep_after_seconds: thing.sleep_after_seconds }, tag };
      }}
      changedBy={() => changedBy(deployment.id)}
      onSubmit={(given, tag) => change.mutateAsync({ path, body: { ...given, sleep_after_seconds: given.sleep_after_seconds ?? null }, headers: upon(tag) })}
    >
      <Form.Item name="at_once" label={t("at_once")} extra={t("at_once.why")} rules={[{ required: true }]}>
        <InputNumber min={1} max={100_000} precision={0} className="wide" />
      </Form.Item>
      <Form.Item name="queue" label={t("queue")} extra={t("queue.why")} rules={[{ required: true }]}>
        <InputNumber min={0} max={100_000} precision={0} className="wide" />
      </Form.Item>
      <Form.Item name="sleep_after_seconds" label={t("sleep")} extra={t("sleep.why")}>
        <InputNumber min={60} max={2_592_000} precision={0} className="wide" placeholder={t("never")} />
      </Form.Item>
    </FormDialog>
  );
}
