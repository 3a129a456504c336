// Where the table comes from: a file, pasted text, or the example.
import { Alert, Button, Input } from "antd";
import { useState } from "react";
import { DropFile } from "@/ui/DropFile";
import { exampleTable } from "./example";
import { BadTable, type Table, tableOf } from "./table";
import { words } from "./words";

type Props = { onTable: (table: Table, example: boolean) => void };

export function TableChoice({ onTable }: Props) {
  const t = words.use();
  const [text, setText] = useState("");
  const [bad, setBad] = useState<BadTable | null>(null);
  const take = (csv: string, example = false) => {
    try {
      onTable(tableOf(csv), example);
    } catch (error) {
      if (!(error instanceof BadTable)) throw error;
      setBad(error);
    }
  };
  return (
    <section className="card ask-table" aria-label={t("table")}>
      {bad !== null && <Alert type="error" showIcon title={t(`bad.${bad.fault}`, { line: bad.line })} />}
      <DropFile title={t("table.drop")} hint={t("table.hint")} accept=".csv,.tsv,.txt" onFile={(file) => void file.text().then((csv) => take(csv))} />
      <label htmlFor="ask-paste">{t("table.paste")}</label>
      <Input.TextArea id="ask-paste" className="mono" rows={4} value={text} onChange={(event) => setText(event.target.value)} />
      <div className="ask-buttons">
        <Button disabled={text.trim() === ""} onClick={() => take(text)}>
          {t("table.use")}
        </Button>
        <Button type="primary" onClick={() => void exampleTable().then((csv) => take(csv, true))}>
          {t("table.example")}
        </Button>
      </div>
    </section>
  );
}
