// Whether prompts of this project are kept: for how long, and what is masked before they are written.
import { useMutation } from "@tanstack/react-query";
import { Checkbox, Form, Input, InputNumber } from "antd";
import { promptLogPolicyDestroyMutation, promptLogPolicyUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { PromptPolicyIn, PromptPolicyOut } from "@/api/generated/types.gen";
import { Danger } from "@/ui/Danger";
import { FormDialog } from "@/ui/FormDialog";
import { words as uiWords } from "@/ui/words";
import { words } from "./toldWords";

const MASKS = ["email", "phone", "card", "key"] as const;
type Given = { days: number; masks: NonNullable<PromptPolicyIn["masks"]>; expressions: string };

export function PromptPolicy({ policy }: { policy: PromptPolicyOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const set = useMutation({ ...promptLogPolicyUpdateMutation(), meta: { quiet: true } });
  const lift = useMutation(promptLogPolicyDestroyMutation());
  const initial = {
    days: policy.days ?? 7,
    masks: (policy.kept ? policy.masks : [...MASKS]) as Given["masks"],
    expressions: policy.expressions.join("\n"),
  };
  return (
    <>
      <FormDialog<Given>
        type={policy.kept ? "default" : "primary"}
        label={policy.kept ? t("policy.change") : t("policy.begin")}
        send={tui("save")}
        initial={initial}
        onSubmit={({ days, masks, expressions }) =>
          set.mutateAsync({ body: { days, masks, expressions: expressions.split("\n").map((each) => each.trim()).filter(Boolean) } })
        }
      >
        <Form.Item name="days" label={t("policy.days")} extra={t("policy.days.extra")} rules={[{ required: true }]}>
          <InputNumber min={1} max={365} />
        </Form.Item>
        <Form.Item name="masks" label={t("policy.masks")} extra={t("policy.masks.extra")}>
          <Checkbox.Group options={MASKS.map((each) => ({ value: each, label: t(`mask.${each}`) }))} />
        </Form.Item>
        <Form.Item name="expressions" label={t("policy.expressions")} extra={t("policy.expressions.extra")}>
          <Input.TextArea rows={3} className="mono" />
        </Form.Item>
      </FormDialog>
      {policy.kept && <Danger name={t("policy")} label={t("policy.end")} breaks={t("policy.end.breaks")} onConfirm={() => lift.mutate({})} />}
    </>
  );
}
