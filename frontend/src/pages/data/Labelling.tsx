// Labelling by keyboard: one row at a time, another answer, a thumb, the better of two; saved as the next version.
import { DislikeOutlined, LikeOutlined } from "@ant-design/icons";
import { useMutation } from "@tanstack/react-query";
import { Alert, Button, Input, Select, Space, Tag } from "antd";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { useFilter } from "@/api/cursor";
import { datasetVersionsEditsCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetVersionOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { count } from "@/ui/figures";
import { Messages, turnsOf } from "@/ui/Messages";
import { Refused } from "@/ui/Refused";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { answered, answerOf, answersOf, editsOf, isPair, ranked, type Row, swapped, thumbed } from "./labels";
import { Ranking } from "./Ranking";
import { useKept } from "./useKept";
import { useRows } from "./useRows";
import { words } from "./words";

export function Labelling({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const navigate = useNavigate();
  const [which, setWhich] = useFilter("labelled");
  const [place, setPlace] = useState(0);
  const [typing, setTyping] = useState<string>();
  /** What was done to the row before its answer was typed. */
  const before = useRef<Row | null>(undefined);
  const [order, setOrder] = useState<number[]>([]);
  const { kept, set, clear, size } = useKept<Row | null>(`slipway.labels.${version.id}`);
  const filter = which === "yes" ? { labelled: true } : which === "no" ? { labelled: false } : {};
  const { at, error, total } = useRows(version.id, filter, [place, place + 2], version.rows);
  const save = useMutation({
    ...datasetVersionsEditsCreateMutation(),
    onSuccess: (next) => {
      clear();
      void navigate(`/data/${next.dataset_id}/versions/${next.id}`);
    },
  });
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.focus(), []);
  const found = at(place);
  const stored = found?.row as Row | undefined;
  const done = found === undefined ? undefined : kept[found.number];
  const row = done ?? stored;
  const go = (step: number) => {
    setTyping(undefined);
    setOrder([]);
    setPlace((now) => Math.max(0, Math.min(now + step, Math.max(0, total - 1))));
    box.current?.focus();
  };
  const keep = (value: Row | null | undefined) => {
    if (found !== undefined) set(found.number, value);
  };
  const answers = row === undefined ? [] : answersOf(row);
  const pick = (place: number) => {
    if (row === undefined || place >= answers.length || order.includes(place)) return;
    const next = [...order, place];
    if (next.length < answers.length - 1) {
      setOrder(next);
      return;
    }
    keep(ranked(row, [...next, ...[...answers.keys()].filter((each) => !next.includes(each))]));
    go(1);
  };
  // An answer is kept while it is typed: whatever is pressed next, nothing of it is lost.
  const edit = () => {
    if (row === undefined || typing !== undefined) return;
    before.current = done;
    setTyping(answerOf(row) ?? "");
  };
  const write = (text: string) => {
    setTyping(text);
    const whole = before.current ?? stored;
    if (whole !== undefined) keep(text.trim() === "" || text === answerOf(whole) ? before.current : answered(whole, text));
  };
  const unwrite = () => {
    keep(before.current);
    setTyping(undefined);
    box.current?.focus();
  };
  const keys = (event: KeyboardEvent) => {
    if (typing !== undefined) {
      if (event.key === "Escape") unwrite();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go(1);
      return;
    }
    // Keys of buttons and lists keep what they do.
    if (event.target !== box.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts: Record<string, () => void> = {
      j: () => go(1), ArrowRight: () => go(1), k: () => go(-1), ArrowLeft: () => go(-1),
      e: edit,
      "1": () => { if (row) { keep(thumbed(row, "good")); go(1); } },
      "2": () => { if (row) { keep(thumbed(row, "bad")); go(1); } },
      s: () => { if (row && isPair(row)) keep(swapped(row)); },
      x: () => { keep(null); go(1); },
      u: () => keep(undefined),
      r: () => setOrder([]),
    };
    // Where several answers wait to be ranked, figures pick the next best.
    const act = answers.length > 0 && /^[1-9]$/.test(event.key) ? () => pick(Number(event.key) - 1) : acts[event.key];
    if (act !== undefined) {
      event.preventDefault();
      act();
    }
  };
  return (
    <section className="stack labelling" ref={box} tabIndex={0} aria-label={t("label")} onKeyDown={keys}>
      <div className="filters">
        <Select
          aria-label={t("label.which")}
          value={which ?? "all"}
          onChange={(value: string) => (setPlace(0), setTyping(undefined), setWhich(value === "all" ? undefined : value))}
          options={(["all", "no", "yes"] as const).map((each) => ({ value: each, label: t(`label.which.${each}`) }))}
        />
        <span className="number" aria-live="polite">{total === 0 ? t("label.none") : t("label.place", { n: count(place + 1), all: count(total) })}</span>
        <Button disabled={place === 0} onClick={() => go(-1)}>{t("label.previous")} (K)</Button>
        <Button disabled={place + 1 >= total} onClick={() => go(1)}>{t("label.next")} (J)</Button>
        <Button type="primary" disabled={size === 0} loading={save.isPending} onClick={() => save.mutate({ path: { version_id: version.id }, body: { edits: editsOf(kept) } })}>
          {t("label.save", { n: size })}
        </Button>
        {size > 0 && <Sure danger label={t("label.discard")} what={t("label.discard.what", { n: size })} breaks={t("label.discard.breaks")} onConfirm={clear} />}
      </div>
      {error && <Refused refusal={refusalOf(error)} />}
      {done === null && <Alert type="warning" showIcon title={t("label.removed")} />}
      {row !== undefined && (
        <article className="card stack" aria-label={t("rows.open", { n: (found?.number ?? 0) + 1 })}>
          <div>
            <strong>{t("rows.open", { n: (found?.number ?? 0) + 1 })}</strong>{" "}
            {typeof row.label === "string" && <Tag color={row.label === "bad" ? "error" : "success"}>{row.label === "good" || row.label === "bad" || row.label === "edited" || row.label === "ranked" ? t(`label.is.${row.label}`) : row.label}</Tag>}
            {done !== undefined && <Tag color="processing">{t("label.unsaved")}</Tag>}
          </div>
          <Messages turns={turnsOf(row)} />
          {answers.length > 0 && <Ranking answers={answers} order={order} onPick={pick} onAgain={() => setOrder([])} />}
          {typing !== undefined && (
            <div>
              <Input.TextArea autoFocus rows={3} aria-label={t("label.answer")} value={typing} onChange={(event) => write(event.target.value)} />
              <Space wrap className="labelling-keep">
                <Button type="primary" onClick={() => go(1)}>{t("label.keep")} (Ctrl+Enter)</Button>
                <Button onClick={unwrite}>{tui("cancel")} (Esc)</Button>
              </Space>
            </div>
          )}
          <Space wrap>
            <Button onClick={edit}>{t("label.edit")} (E)</Button>
            {isPair(row) && <Button onClick={() => keep(swapped(row))}>{t("label.swap")} (S)</Button>}
            <Button icon={<LikeOutlined />} onClick={() => (keep(thumbed(row, "good")), go(1))}>{t("label.good")}{answers.length === 0 && " (1)"}</Button>
            <Button icon={<DislikeOutlined />} onClick={() => (keep(thumbed(row, "bad")), go(1))}>{t("label.bad")}{answers.length === 0 && " (2)"}</Button>
            <Button danger onClick={() => (keep(null), go(1))}>{t("label.remove")} (X)</Button>
            {done !== undefined && <Button onClick={() => keep(undefined)}>{t("label.undo")} (U)</Button>}
          </Space>
        </article>
      )}
      <p className="quiet">{t("label.keys")}</p>
    </section>
  );
}
