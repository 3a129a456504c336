// What people thought of answers: filtered, read, and made rows of a dataset.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, AutoComplete, Button, Checkbox, Input, Select, Space, Tag } from "antd";
import { useState } from "react";
import { append, type Labelled, MOST_JOINED, TooLong } from "@/api/append";
import { listed, useFilter, usePager } from "@/api/cursor";
import { datasetsListOptions, feedbackListOptions, feedbackTakeBackMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { FeedbackOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { LinkButton } from "@/ui/runs/LinkButton";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import "./playground.css";
import { words } from "./words";

const rowOf = (said: FeedbackOut): Labelled => ({ messages: [...said.messages, { role: "assistant", content: said.answer }] });

export default function FeedbackPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager();
  const [model, setModel] = useFilter("model");
  const [thumb, setThumb] = useFilter("thumb");
  const [chosen, setChosen] = useState<Record<string, FeedbackOut>>({});
  const found = useQuery(
    feedbackListOptions({ query: { limit: 30, cursor: pager.cursor, order: pager.order, ...(model !== undefined && { model }), ...(thumb !== undefined && { good: thumb === "up" }) } }),
  );
  const remove = useMutation(feedbackTakeBackMutation());
  const choose = (row: FeedbackOut, on: boolean) =>
    setChosen((now) => (on ? { ...now, [row.id]: row } : Object.fromEntries(Object.entries(now).filter(([id]) => id !== row.id))));
  const picked = Object.values(chosen);
  return (
    <Page title={t("feedback")} lead={t("feedback.lead")} above={[{ to: "/playground", title: t("title") }]}>
      <ListTable<FeedbackOut>
        label={t("feedback")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={t("feedback.empty")}
        filters={
          <>
            <Input.Search allowClear defaultValue={model ?? ""} placeholder={t("model")} aria-label={t("model")} onSearch={(text) => setModel(text.trim() || undefined)} />
            <Select
              className="choice"
              aria-label={t("thumb")}
              value={thumb ?? "all"}
              options={(["all", "up", "down"] as const).map((each) => ({ value: each, label: t(`thumb.${each}`) }))}
              onChange={(value: string) => setThumb(value === "all" ? undefined : value)}
            />
          </>
        }
        columns={[
          {
            title: t("feedback.pick"),
            render: (_, row) => <Checkbox aria-label={t("feedback.pick")} disabled={!row.good || row.answer === "" || row.messages.length === 0} checked={row.id in chosen} onChange={(event) => choose(row, event.target.checked)} />,
          },
          { title: t("thumb"), render: (_, row) => <Tag color={row.good ? "success" : "error"}>{t(row.good ? "thumb.up" : "thumb.down")}</Tag> },
          { title: t("model"), dataIndex: "model" },
          {
            title: t("feedback.said"),
            render: (_, row) => (
              <div className="play-said">
                <div>{row.messages.filter((each) => each.role === "user").at(-1)?.content}</div>
                <div className="quiet">{row.answer}</div>
                {row.comment !== "" && <div><Tag>{t("thumb.comment")}</Tag>{row.comment}</div>}
              </div>
            ),
          },
          { title: t("feedback.by"), dataIndex: "user_name" },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
          {
            title: tui("actions"),
            render: (_, row) => (
              <Space>
                <LinkButton to={`/requests/${row.request_id}`}>{t("feedback.lineage")}</LinkButton>
                <Sure danger label={tui("delete")} what={t("feedback.delete.what")} breaks={t("feedback.delete.breaks")} onConfirm={() => remove.mutate({ path: { feedback_id: row.id } })} />
              </Space>
            ),
          },
        ]}
      />
      {picked.length > 0 && may("datasets", "operate") && <Add rows={picked.map(rowOf)} onDone={() => setChosen({})} />}
    </Page>
  );
}

function Add({ rows, onDone }: { rows: Labelled[]; onDone: () => void }) {
  const t = words.use();
  const [name, setName] = useState("");
  const datasets = useQuery({ ...datasetsListOptions({ query: { limit: 100 } }), staleTime: 30_000 });
  const add = useMutation({ mutationFn: () => append(name.trim(), rows, t("feedback")), meta: { quiet: true } });
  return (
    <section className="card" aria-label={t("feedback.add")}>
      <Space wrap>
        <span>{t("feedback.picked", { n: rows.length })}</span>
        <AutoComplete
          className="play-dataset"
          aria-label={t("feedback.dataset")}
          placeholder={t("feedback.dataset")}
          value={name}
          options={(datasets.data?.data ?? []).map((each) => ({ value: each.name }))}
          onChange={setName}
        />
        <Button type="primary" loading={add.isPending} disabled={name.trim() === "" || add.isSuccess} onClick={() => add.mutate()}>
          {t("feedback.add")}
        </Button>
        <Button onClick={onDone}>{t("feedback.none")}</Button>
      </Space>
      {add.error instanceof TooLong && <Alert type="error" showIcon title={t("feedback.long", { name, rows: add.error.rows, most: MOST_JOINED })} />}
      {add.error !== null && !(add.error instanceof TooLong) && <Refused refusal={refusalOf(add.error)} />}
      {add.data !== undefined && (
        <Alert type="success" showIcon title={t("feedback.added", { name })} action={<LinkButton to={`/data/${add.data.dataset}/versions/${add.data.version}`}>{t("feedback.open")}</LinkButton>} />
      )}
    </section>
  );
}
