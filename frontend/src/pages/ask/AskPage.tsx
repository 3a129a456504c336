// Asks a table in words: the chosen model says what to draw, the table says with which figures.
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Input, Select } from "antd";
import { useEffect, useRef, useState } from "react";
import { useFilter } from "@/api/cursor";
import { ask } from "@/api/chat";
import { deploymentsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { type Refusal, refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { LinkButton } from "@/ui/runs/LinkButton";
import "@/ui/runs/runs.css";
import type { Labelled } from "@/api/append";
import "./ask.css";
import { Correct } from "./Correct";
import { Drawing } from "./Drawing";
import { ALIASES, QUESTIONS } from "./example";
import { LabelledRows } from "./LabelledRows";
import { read } from "./spec";
import { namesIn, type Table, yearsIn } from "./table";
import { TableChoice } from "./TableChoice";
import { words } from "./words";

type Asked = { question: string; answer: string; done: boolean };

/** What a model that was not tuned for this table must know. */
const instruction = (table: Table) =>
  [
    "Answer with one JSON object and nothing else: the fields region, period, metric and chart, all strings.",
    `region is one of: ${namesIn(table).slice(0, 200).join(", ")}.`,
    `metric is one of: ${table.metrics.join(", ")}.`,
    `period is a year, quarter or month of ${yearsIn(table).join(", ")}, written like 2019, 2019-Q1 or 2019-03.`,
    "chart is one of: line, bar, pie, table.",
  ].join("\n");

export default function AskPage() {
  const t = words.use();
  const may = useMay()("inference", "operate");
  const [table, setTable] = useState<Table | null>(null);
  const [example, setExample] = useState(false);
  const [model, setModel] = useFilter("model");
  const [describe, setDescribe] = useState(false);
  const [question, setQuestion] = useState("");
  const [asked, setAsked] = useState<Asked | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [correcting, setCorrecting] = useState(false);
  const [rows, setRows] = useState<Labelled[]>([]);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const found = useQuery({ ...deploymentsListOptions({ query: { limit: 100 } }), staleTime: 15_000 });
  const names = (found.data?.data ?? []).filter((each) => each.serving !== null).map((each) => each.name);
  const chosen = names.find((each) => each === model) ?? names[0];
  const aliases = example ? ALIASES : {};
  const busy = asked !== null && !asked.done && refusal === null;

  const send = async () => {
    if (chosen === undefined || table === null || question.trim() === "" || busy) return;
    const mine = new AbortController();
    stop.current = mine;
    setRefusal(null);
    setCorrecting(false);
    setAsked({ question, answer: "", done: false });
    const messages = [...(describe ? [{ role: "system" as const, content: instruction(table) }] : []), { role: "user" as const, content: question }];
    try {
      const told = await ask({ model: chosen, messages, temperature: 0, max_tokens: 256 }, (answer) => setAsked({ question, answer, done: false }), mine.signal);
      setAsked({ question, answer: told.text, done: true });
    } catch (error) {
      setAsked((now) => now && { ...now, done: true });
      if (!mine.signal.aborted) setRefusal(refusalOf(error));
    }
  };
  const keep = (answer: string) => {
    if (asked === null) return;
    const messages: Labelled["messages"] = [
      { role: "user", content: asked.question },
      { role: "assistant", content: answer },
    ];
    setRows((now) => [...now, { messages }]);
    setCorrecting(false);
  };
  const understood = table !== null && asked?.done === true && refusal === null ? read(asked.answer, table, aliases) : null;

  return (
    <Page title={t("title")} lead={t("lead")}>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      {!may && <Alert type="warning" showIcon title={t("blocked")} />}
      {table === null ? (
        <TableChoice
          onTable={(next, isExample) => {
            setTable(next);
            setExample(isExample);
            setQuestion(isExample ? (QUESTIONS[0] ?? "") : "");
          }}
        />
      ) : (
        <>
          <section className="card ask-about" aria-label={t("table")}>
            <p className="quiet">
              {t("table.facts", {
                rows: table.rows.length,
                names: table.names,
                n: namesIn(table).length,
                months: table.months,
                years: yearsIn(table).join(", "),
                metrics: table.metrics.length,
              })}
              <br />
              {t("table.metrics")}: {table.metrics.join(", ")}
            </p>
            <Button size="small" onClick={() => (setTable(null), setAsked(null))}>
              {t("table.other")}
            </Button>
          </section>
          <form
            className="card ask-form"
            aria-label={t("question")}
            onSubmit={(event) => {
              event.preventDefault();
              void send();
            }}
          >
            <div className="ask-model">
              <label htmlFor="ask-model">{t("model")}</label>
              <Select id="ask-model" value={chosen ?? null} loading={found.isPending} options={names.map((name) => ({ value: name, label: name }))} onChange={(value: string) => setModel(value)} />
              <Checkbox checked={describe} onChange={(event) => setDescribe(event.target.checked)}>
                <span title={t("describe.why")}>{t("describe")}</span>
              </Checkbox>
            </div>
            {found.data !== undefined && names.length === 0 && (
              <Alert type="info" showIcon title={t("model.none")} action={<LinkButton to="/deployments/new">{t("model.deploy")}</LinkButton>} />
            )}
            <label htmlFor="ask-question">{t("question")}</label>
            <div className="ask-line">
              <Input id="ask-question" value={question} onChange={(event) => setQuestion(event.target.value)} />
              <Button type="primary" htmlType="submit" loading={busy} disabled={!may || chosen === undefined || question.trim() === ""}>
                {t("ask")}
              </Button>
              {busy && <Button onClick={() => stop.current?.abort()}>{t("stop")}</Button>}
            </div>
            {example && (
              <div className="ask-examples">
                {QUESTIONS.map((each) => (
                  <Button key={each} size="small" onClick={() => setQuestion(each)}>
                    {each}
                  </Button>
                ))}
              </div>
            )}
          </form>
          {refusal !== null && <Refused refusal={refusal} />}
          {asked !== null && refusal === null && (
            <section className="card" aria-label={t("answer")} aria-busy={busy}>
              <h2 className="ask-title">{t("answer")}</h2>
              <div className="bubble mono" data-role="assistant" aria-live="polite">
                {asked.answer}
                {busy && <span className="quiet"> {t("waiting")} …</span>}
              </div>
              {understood !== null && "drawn" in understood && <Drawing drawn={understood.drawn} spec={understood.spec} />}
              {understood !== null && "fault" in understood && (
                <Alert
                  className="ask-fault"
                  type="warning"
                  showIcon
                  title={
                    understood.fault.field === "answer"
                      ? t("fault.answer", { allowed: understood.fault.allowed.join(", ") })
                      : t("fault.field", { field: understood.fault.field, value: understood.fault.value, allowed: understood.fault.allowed.slice(0, 30).join(", ") })
                  }
                  description={t("fault.fix")}
                />
              )}
              {asked.done && (
                <div className="ask-buttons">
                  {understood !== null && "drawn" in understood && <Button onClick={() => keep(asked.answer.trim())}>{t("right")}</Button>}
                  <Button type={understood !== null && "fault" in understood ? "primary" : "default"} onClick={() => setCorrecting(true)}>
                    {t("wrong")}
                  </Button>
                </div>
              )}
            </section>
          )}
          {correcting && <Correct table={table} aliases={aliases} spec={understood?.spec ?? null} onSave={keep} />}
          {(asked !== null || rows.length > 0) && (
            <LabelledRows rows={rows} onRemove={(index) => setRows((now) => now.filter((_, at) => at !== index))} onAppended={() => setRows([])} />
          )}
        </>
      )}
    </Page>
  );
}
