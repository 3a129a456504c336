// A new plan: its fee, its term, and what one unit gives.
import { useMutation } from "@tanstack/react-query";
import { Form, Input, InputNumber, Select, Switch } from "antd";
import { plansCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { PlanOfferIn } from "@/api/generated/types.gen";
import { FormDialog } from "@/ui/FormDialog";
import { words as uiWords } from "@/ui/words";
import { words } from "./planWords";

type Given = Omit<PlanOfferIn, "fee"> & { fee?: string | number };

export function NewPlan() {
  const t = words.use();
  const tui = uiWords.use();
  const offer = useMutation({ ...plansCreateMutation(), meta: { quiet: true } });
  const whole = (name: "requests_per_minute" | "tokens_per_minute" | "replicas", extra?: string) => (
    <Form.Item name={name} label={t(name)} extra={extra}>
      <InputNumber min={0} max={name === "replicas" ? 10_000 : 1e9} precision={0} className="wide" />
    </Form.Item>
  );
  return (
    <FormDialog<Given>
      type="primary"
      label={t("offer")}
      initial={{ term: "month", requests_per_minute: 0, tokens_per_minute: 0, replicas: 0, most_units: 1, everybody: false }}
      onSubmit={({ fee, about, model, ...body }) =>
        offer.mutateAsync({ body: { ...body, about: about ?? "", model: model ?? "", ...(body.everybody ? { fee: "0", term: "month" as const, replicas: 0, most_units: 1 } : { fee: String(fee) }) } })
      }
    >
      <p className="quiet">{t("offer.lead")}</p>
      <Form.Item name="name" label={tui("name")} rules={[{ required: true, max: 63 }]}>
        <Input autoComplete="off" />
      </Form.Item>
      <Form.Item name="about" label={t("about")}>
        <Input maxLength={300} />
      </Form.Item>
      <Form.Item name="model" label={t("model")} extra={t("model.extra")}>
        <Input maxLength={256} />
      </Form.Item>
      <Form.Item name="everybody" label={t("everybody")} extra={t("everybody.extra")} valuePropName="checked">
        <Switch />
      </Form.Item>
      {whole("requests_per_minute")}
      {whole("tokens_per_minute")}
      <Form.Item noStyle dependencies={["everybody"]}>
        {({ getFieldValue }) =>
          getFieldValue("everybody") !== true && (
            <>
              {whole("replicas", t("replicas.extra"))}
              <Form.Item name="fee" label={t("fee")} rules={[{ required: true }]}>
                <InputNumber stringMode min="0" precision={6} className="wide" />
              </Form.Item>
              <Form.Item name="term" label={t("term")}>
                <Select options={(["hour", "month"] as const).map((each) => ({ value: each, label: t(`term.${each}`) }))} />
              </Form.Item>
              <Form.Item name="most_units" label={t("most")}>
                <InputNumber min={1} max={10_000} precision={0} className="wide" />
              </Form.Item>
            </>
          )
        }
      </Form.Item>
    </FormDialog>
  );
}
