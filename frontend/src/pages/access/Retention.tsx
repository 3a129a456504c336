// For how many days the current project keeps what goes by itself.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Card, Descriptions, Form, InputNumber } from "antd";
import { retentionRetrieveOptions, retentionUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { RetentionIn } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { FormDialog } from "@/ui/FormDialog";
import { words } from "./words";

const KINDS = ["bin", "completions", "responses"] as const;

export function Retention() {
  const t = words.use();
  const may = useMay();
  const found = useQuery(retentionRetrieveOptions());
  const set = useMutation({ ...retentionUpdateMutation(), meta: { quiet: true } });
  if (found.data === undefined) return null;
  const { own, longest } = found.data;
  return (
    <Card
      title={t("kept")}
      extra={
        may("access", "full") && (
          <FormDialog<RetentionIn> label={t("kept.change")} initial={own} onSubmit={({ bin, completions, responses }) =>
              set.mutateAsync({ body: { bin: bin ?? null, completions: completions ?? null, responses: responses ?? null } })}>
            {KINDS.map((kind) => (
              <Form.Item key={kind} name={kind} label={t(`kept.${kind}`)} extra={t("kept.extra", { most: longest[kind] })}>
                <InputNumber min={0} max={longest[kind]} precision={0} />
              </Form.Item>
            ))}
          </FormDialog>
        )
      }
    >
      <Descriptions items={KINDS.map((kind) => ({ key: kind, label: t(`kept.${kind}`), children: t("kept.days", { days: own[kind] ?? longest[kind] }) }))} />
    </Card>
  );
}
