// Price books: the newest that has begun holds; a book is never changed, a newer one follows it.
import { MinusCircleOutlined } from "@ant-design/icons";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, InputNumber, Select, Tag } from "antd";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import { priceBooksCreateMutation, priceBooksListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { BookOut, PriceIn } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { count, dateTime, When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { words as uiWords } from "@/ui/words";
import { amount } from "./amount";
import { words } from "./words";

const KINDS = ["requests", "prompt_tokens", "completion_tokens", "embedding_tokens", "training_tokens", "cpu_milliseconds", "gpu_milliseconds", "storage_mib_hours"] as const;
type Given = { name: string; from?: string; prices: (Omit<PriceIn, "amount"> & { amount: string | number })[] };

export function Prices() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager(BY_NAME);
  const found = useQuery(priceBooksListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order } }));
  const open = useMutation({ ...priceBooksCreateMutation(), meta: { quiet: true } });
  const submit = ({ name, from, prices }: Given) =>
    open.mutateAsync({
      body: {
        name,
        ...(from && { valid_from: new Date(from).toISOString() }),
        prices: prices.map((each) => ({ ...each, model: each.model ?? "", amount: String(each.amount) })),
      },
    });
  return (
    <div className="stack">
      {useMay()("platform", "operate") && (
        <div className="filters">
          <FormDialog<Given>
            type="primary"
            width={760}
            label={t("book.new")}
            initial={{ prices: [{ kind: "prompt_tokens", model: "", amount: "", per: 1_000_000 }, { kind: "completion_tokens", model: "", amount: "", per: 1_000_000 }] }}
            onSubmit={submit}
          >
            <Form.Item name="name" label={tui("name")} rules={[{ required: true, max: 63 }]}>
              <Input autoComplete="off" />
            </Form.Item>
            <Form.Item name="from" label={t("book.from")} extra={t("book.from.extra")}>
              <Input type="datetime-local" step={3600} />
            </Form.Item>
            <Form.List name="prices">
              {(fields, { add, remove }) => (
                <>
                  {fields.map(({ key, name }) => (
                    <div key={key} className="price-line">
                      <Form.Item name={[name, "kind"]}>
                        <Select aria-label={t("by.kind")} options={KINDS.map((each) => ({ value: each, label: t(`kind.${each}`) }))} />
                      </Form.Item>
                      <Form.Item name={[name, "model"]}>
                        <Input aria-label={t("by.model")} placeholder={t("book.any")} />
                      </Form.Item>
                      <Form.Item name={[name, "amount"]} rules={[{ required: true, message: t("book.amount.missing") }]}>
                        <InputNumber aria-label={t("book.amount")} placeholder={t("book.amount")} stringMode min="0" />
                      </Form.Item>
                      <Form.Item name={[name, "per"]}>
                        <InputNumber<number> aria-label={t("book.per")} min={1} max={1e12} prefix="/" />
                      </Form.Item>
                      <Button type="text" icon={<MinusCircleOutlined />} aria-label={t("book.less")} onClick={() => remove(name)} />
                    </div>
                  ))}
                  <Button onClick={() => add({ kind: "requests", model: "", per: 1 })}>{t("book.more")}</Button>
                </>
              )}
            </Form.List>
          </FormDialog>
        </div>
      )}
      <ListTable<BookOut>
        label={t("book")}
        rowKey={(book) => book.id}
        {...listed(found, pager)}
        empty={t("book.none")}
        columns={[
          { title: tui("name"), key: "name", sorter: true, render: (_, book) => <strong>{book.name}</strong> },
          { title: t("book.from"), render: (_, book) => dateTime(book.valid_from) },
          { title: tui("created"), key: "created", sorter: true, render: (_, book) => <When at={book.created_at} /> },
          { title: t("book.for"), render: (_, book) => (book.organisation_id === null ? t("book.everybody") : <Tag color="blue">{t("book.own")}</Tag>) },
          { title: t("rate"), render: (_, book) => <Rates of={book} /> },
        ]}
      />
    </div>
  );
}

function Rates({ of: { prices, currency } }: { of: BookOut }) {
  const t = words.use();
  return (
    <ul className="rates number">
      {prices.map(({ kind, model = "", amount: price, per }) => (
        <li key={`${kind} ${model}`}>
          {t(`kind.${kind}`)} · {model === "" ? t("book.any") : model} · {t("rate.per", { amount: amount(price, currency), per: count(per) })}
        </li>
      ))}
    </ul>
  );
}
