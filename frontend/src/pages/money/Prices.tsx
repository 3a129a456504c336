// Price books: the newest that has begun holds; a book is never changed, a newer one follows it.
import { MinusCircleOutlined } from "@ant-design/icons";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, InputNumber, Select, Table, Tag } from "antd";
import { usePager } from "@/api/cursor";
import { priceBooksCreateMutation, priceBooksListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { BookOut, PriceIn } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { count, dateTime } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { amount } from "./amount";
import { words } from "./words";

const KINDS = ["requests", "prompt_tokens", "completion_tokens", "training_tokens", "cpu_milliseconds", "gpu_milliseconds", "storage_mib_hours"] as const;
type Given = { name: string; from?: string; prices: (Omit<PriceIn, "amount"> & { amount: string | number })[] };

export function Prices() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const found = useQuery(priceBooksListOptions({ query: { limit: 10, cursor: pager.cursor } }));
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
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      {found.data?.data.length === 0 && <div className="empty">{t("book.none")}</div>}
      {found.data?.data.map((book) => <Book key={book.id} book={book} />)}
    </div>
  );
}

function Book({ book }: { book: BookOut }) {
  const t = words.use();
  return (
    <Table<PriceIn>
      size="small"
      pagination={false}
      scroll={{ x: "max-content" }}
      title={() => (
        <>
          <strong>{book.name}</strong> {t("book.since", { at: dateTime(book.valid_from) })}{" "}
          {book.organisation_id !== null && <Tag color="blue">{t("book.own")}</Tag>}
        </>
      )}
      rowKey={(row) => `${row.kind} ${row.model ?? ""}`}
      dataSource={book.prices}
      columns={[
        { title: t("by.kind"), render: (_, row) => t(`kind.${row.kind}`) },
        { title: t("by.model"), render: (_, row) => (row.model === "" ? t("book.any") : row.model) },
        { title: t("rate"), align: "end", render: (_, row) => t("rate.per", { amount: amount(row.amount, book.currency), per: count(row.per) }) },
      ]}
    />
  );
}
