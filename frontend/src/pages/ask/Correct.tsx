// The right answer to a question, put together from what the table holds, and drawn before it is kept.
import { AutoComplete, Button, Form, Input, Select } from "antd";
import { useState } from "react";
import { Drawing } from "./Drawing";
import { CHARTS, read, type Spec, textOf } from "./spec";
import { type Aliases, namesIn, type Table } from "./table";
import { words } from "./words";

type Props = { table: Table; aliases: Aliases; spec: Spec | null; onSave: (answer: string) => void };

/** Names as they stand in the table, and the other words that mean them. */
const choices = (known: string[], aliases: Aliases) =>
  [...known, ...Object.entries(aliases).filter(([, meaning]) => known.includes(meaning)).map(([word]) => word)].map((value) => ({ value }));

export function Correct({ table, aliases, spec, onSave }: Props) {
  const t = words.use();
  const [draft, setDraft] = useState<Spec>(spec ?? { region: "", period: "", metric: "", chart: "line" });
  const [text, setText] = useState("");
  const set = (change: Partial<Spec>) => setDraft((now) => ({ ...now, ...change }));
  const answer = text.trim() === "" ? textOf(draft) : text.trim();
  const found = read(textOf(draft), table, aliases);
  const good = text.trim() !== "" || "drawn" in found;
  const contains = (typed: string, option?: { value: string }) => option?.value.toLowerCase().includes(typed.toLowerCase()) ?? false;
  return (
    <section className="card" aria-label={t("correct")}>
      <h2 className="ask-title">{t("correct")}</h2>
      <Form layout="vertical" onFinish={() => good && onSave(answer)}>
        <div className="ask-fields">
          <Form.Item label={t("correct.region")} htmlFor="correct-region">
            <AutoComplete id="correct-region" showSearch={{ filterOption: contains }} value={draft.region} options={choices(namesIn(table), aliases)} onChange={(region) => set({ region })} />
          </Form.Item>
          <Form.Item label={t("correct.period")} htmlFor="correct-period">
            <Input id="correct-period" value={draft.period} onChange={(event) => set({ period: event.target.value.trim() })} />
          </Form.Item>
          <Form.Item label={t("correct.metric")} htmlFor="correct-metric">
            <AutoComplete id="correct-metric" showSearch={{ filterOption: contains }} value={draft.metric} options={choices(table.metrics, aliases)} onChange={(metric) => set({ metric })} />
          </Form.Item>
          <Form.Item label={t("correct.chart")} htmlFor="correct-chart">
            <Select id="correct-chart" value={draft.chart} options={CHARTS.map((each) => ({ value: each, label: t(`chart.${each}`) }))} onChange={(chart: string) => set({ chart })} />
          </Form.Item>
        </div>
        <Form.Item label={t("correct.text")} htmlFor="correct-text" extra={t("correct.text.why")}>
          <Input id="correct-text" value={text} onChange={(event) => setText(event.target.value)} />
        </Form.Item>
        {text.trim() === "" && "drawn" in found && <Drawing drawn={found.drawn} spec={found.spec} />}
        {text.trim() === "" && "fault" in found && <p className="quiet">{t("fault.field", { field: found.fault.field, value: found.fault.value, allowed: found.fault.allowed.slice(0, 30).join(", ") })}</p>}
        <Button type="primary" htmlType="submit" disabled={!good}>
          {t("correct.save")}
        </Button>
      </Form>
    </section>
  );
}
