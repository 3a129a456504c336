// What was paid in advance and is left; administrators of the platform book payments.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, InputNumber, Select, Statistic } from "antd";
import { creditCreateMutation, creditRetrieveOptions, organisationsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { CreditIn } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { FormDialog } from "@/ui/FormDialog";
import { Refused } from "@/ui/Refused";
import { amount } from "./amount";
import { words } from "./words";

export function Credit() {
  const t = words.use();
  const books = useMay()("platform", "full");
  const found = useQuery(creditRetrieveOptions());
  const organisations = useQuery({ ...organisationsListOptions({ query: { limit: 500 } }), enabled: books, staleTime: 30_000 });
  const book = useMutation({ ...creditCreateMutation(), meta: { quiet: true } });
  return (
    <div className="stack">
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      {found.data !== undefined && (
        <section className="card" aria-label={t("credit")}>
          {found.data.prepaid ? <Statistic title={t("credit.left")} value={amount(found.data.balance, found.data.currency)} /> : t("credit.none")}
        </section>
      )}
      {books && (
        <div>
          <FormDialog<CreditIn> label={t("credit.book")} onSubmit={(body) => book.mutateAsync({ body })}>
            <Form.Item name="organisation_id" label={t("credit.for")} rules={[{ required: true }]}>
              <Select options={(organisations.data?.data ?? []).map((each) => ({ value: each.id, label: each.name }))} />
            </Form.Item>
            <Form.Item name="amount" label={t("credit.amount")} extra={t("credit.amount.extra")} rules={[{ required: true }]}>
              <InputNumber stringMode className="wide" />
            </Form.Item>
            <Form.Item name="note" label={t("credit.note")}>
              <Input maxLength={200} />
            </Form.Item>
          </FormDialog>
        </div>
      )}
    </div>
  );
}
