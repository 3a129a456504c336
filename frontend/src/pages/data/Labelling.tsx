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
import { answered, answerOf, editsOf, isPair, type Row, swapped, thumbed } from "./labels";
import { useKept } from "./useKept";
import { useRows } from "./useRows";
import { words } from "./words";

export function Labelling({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const navigate = useNavigate();
  const [which, setWhich] = useFilter("labelled");
  const [place, setPlace] = useState(0);
  const [typing, setTyping] = useState<string>();
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
    setPlace((now) => Math.max(0, Math.min(now + step, Math.max(0, total - 1))));
    box.current?.focus();
  };
  const keep = (value: Row | null | undefined) => {
    if (found !== undefined) set(found.number, value);
  };
  const finish = () => {
    if (row !== undefined && typing !== undefined && typing.trim() !== "") keep(answered(row, typing));
    go(1);
  };
  const keys = (event: KeyboardEvent) => {
    if (typing !== undefined) {
      if (event.key === "Escape") {
        setTyping(undefined);
        box.current?.focus();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) finish();
      return;
    }
    // Keys of buttons and lists keep what they do.
    if (event.target !== box.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts: Record<string, () => void> = {
      j: () => go(1), ArrowRight: () => go(1), k: () => go(-1), ArrowLeft: () => go(-1),
      e: () => setTyping(row === undefined ? undefined : (answerOf(row) ?? "")),
      "1": () => { if (row) { keep(thumbed(row, "good")); go(1); } },
      "2": () => { if (row) { keep(thumbed(row, "bad")); go(1); } },
      s: () => { if (row && isPair(row)) keep(swapped(row)); },
      x: () => { keep(null); go(1); },
      u: () => keep(undefined),
    };
    const act = acts[event.key];
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
          onChange={(value: string) => (setPlace(0), setWhich(value === "all" ? undefined : value))}
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
          {typing !== undefined && (
            <div>
              <Input.TextArea autoFocus rows={3} aria-label={t("label.answer")} value={typing} onChange={(event) => setTyping(event.target.value)} />
              <span className="quiet">{t("label.answer.keys")}</span>
            </div>
          )}
          <Space wrap>
            <Button onClick={() => setTyping(answerOf(row) ?? "")}>{t("label.edit")} (E)</Button>
            {isPair(row) && <Button onClick={() => keep(swapped(row))}>{t("label.swap")} (S)</Button>}
            <Button icon={<LikeOutlined />} onClick={() => (keep(thumbed(row, "good")), go(1))}>{t("label.good")} (1)</Button>
            <Button icon={<DislikeOutlined />} onClick={() => (keep(thumbed(row, "bad")), go(1))}>{t("label.bad")} (2)</Button>
            <Button danger onClick={() => (keep(null), go(1))}>{t("label.remove")} (X)</Button>
            {done !== undefined && <Button onClick={() => keep(undefined)}>{t("label.undo")} (U)</Button>}
          </Space>
        </article>
      )}
      <p className="quiet">{t("label.keys")}</p>
    </section>
  );
}
