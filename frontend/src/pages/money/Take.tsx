// Takes units of a plan: what is paid now, and again every term, is said before.
import { useMutation } from "@tanstack/react-query";
import { Form, InputNumber } from "antd";
import { subscriptionsCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { PlanOfferOut } from "@/api/generated/types.gen";
import { FormDialog } from "@/ui/FormDialog";
import { amount, times } from "./amount";
import { words } from "./planWords";

export function Take({ plan }: { plan: PlanOfferOut }) {
  const t = words.use();
  const take = useMutation({ ...subscriptionsCreateMutation(), meta: { quiet: true } });
  return (
    <FormDialog<{ units: number }>
      type="primary"
      label={t("take")}
      title={t("take.title", { name: plan.name })}
      initial={{ units: 1 }}
      onSubmit={({ units }) => take.mutateAsync({ body: { plan_id: plan.id, units } })}
    >
      <Form.Item name="units" label={t("take.units")} rules={[{ required: true }]}>
        <InputNumber min={1} max={plan.most_units} precision={0} className="wide" />
      </Form.Item>
      <Form.Item noStyle dependencies={["units"]}>
        {({ getFieldValue }) => (
          <p>{t("take.now", { now: amount(times(plan.fee, Number(getFieldValue("units") ?? 1)), plan.currency), term: t(`term.${plan.term}`) })}</p>
        )}
      </Form.Item>
    </FormDialog>
  );
}
