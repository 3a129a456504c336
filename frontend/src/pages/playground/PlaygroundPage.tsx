// Several deployed models side by side: one question, their answers as they come.
import { useQuery } from "@tanstack/react-query";
import { Alert, App, Button, Drawer, Input, InputNumber, Select, Space } from "antd";
import { type ReactNode, useEffect, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { deploymentsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { Message } from "@/api/chat";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { Blank } from "@/ui/runs/Blank";
import { chatCode } from "@/ui/runs/chatCode";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { LinkButton } from "@/ui/runs/LinkButton";
import "@/ui/runs/runs.css";
import { type Answer, messagesFor, type Setting, useConversation } from "./conversation";
import "./playground.css";
import { Thumbs } from "./Thumbs";
import { words } from "./words";

const SAMPLING = [
  { key: "temperature", min: 0, max: 2, step: 0.1 },
  { key: "top_p", min: 0, max: 1, step: 0.05 },
  { key: "max_tokens", min: 1, max: 32_768, step: 1 },
  { key: "seed", min: 0, max: 2 ** 31 - 1, step: 1 },
] as const;
const MOST_MODELS = 4;

function useSetting(names: string[]): [Setting, (change: Partial<Setting>) => void] {
  const [search, setSearch] = useSearchParams();
  const asked = search.get("models");
  const models = asked === null ? names.slice(0, 1) : asked.split(",").filter(Boolean).slice(0, MOST_MODELS);
  const sampling = Object.fromEntries(
    SAMPLING.flatMap(({ key }) => {
      const value = Number(search.get(key) ?? Number.NaN);
      return Number.isFinite(value) ? [[key, value]] : [];
    }),
  );
  const set = (change: Partial<Setting>) =>
    setSearch(
      (now) => {
        if (change.models !== undefined) now.set("models", change.models.join(","));
        if (change.system !== undefined) now.set("system", change.system);
        if (change.system === "") now.delete("system");
        for (const { key } of change.sampling === undefined ? [] : SAMPLING) {
          const value = change.sampling?.[key];
          if (value === undefined) now.delete(key);
          else now.set(key, String(value));
        }
        return now;
      },
      { replace: true },
    );
  // What is offered first is chosen once: a list that comes again must not change who is asked.
  const [offered] = names;
  useEffect(() => {
    if (asked !== null || offered === undefined) return;
    setSearch((now) => (now.set("models", offered), now), { replace: true });
  }, [asked, offered, setSearch]);
  return [{ models, system: search.get("system") ?? "", sampling }, set];
}

export default function PlaygroundPage() {
  const t = words.use();
  const may = useMay();
  const { message } = App.useApp();
  const found = useQuery({ ...deploymentsListOptions({ query: { limit: 100 } }), refetchInterval: live });
  const names = (found.data?.data ?? []).filter((each) => each.serving !== null).map((each) => each.name);
  const [setting, set] = useSetting(names);
  const [search, setSearch] = useSearchParams();
  const talk = useConversation();
  // What was asked already stands above.
  const [question, setQuestion] = useState(() => (talk.turns.at(-1)?.question === search.get("q") ? "" : (search.get("q") ?? "")));
  const [showing, setShowing] = useState(false);
  const asks = may("inference", "operate");
  const ready = asks && setting.models.length > 0 && question.trim() !== "" && !talk.busy;

  const send = () => {
    if (!ready) return;
    setSearch((now) => (now.set("q", question), now), { replace: true });
    talk.send(question, setting);
    setQuestion("");
  };
  const link = async () => {
    await navigator.clipboard.writeText(location.href);
    message.success(t("link.copied"));
  };

  if (found.error) return <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />;
  if (found.data !== undefined && names.length === 0) {
    return (
      <Page title={t("title")} lead={t("lead")}>
        <Blank title={t("none.title")} text={t("none.text")} action={<LinkButton type="primary" to="/deployments/new">{t("none.do")}</LinkButton>} />
      </Page>
    );
  }
  const shown = talk.turns.length > 0 ? talk.turns : [{ question: question || "…", answers: {} }];
  return (
    <Page
      title={t("title")}
      lead={t("lead")}
      actions={
        <Space wrap>
          <Button onClick={() => setShowing(true)} disabled={setting.models.length === 0}>
            {t("code")}
          </Button>
          <Button onClick={() => void link()} title={t("link.what")}>
            {t("link")}
          </Button>
          {asks && <LinkButton to="/playground/feedback">{t("feedback")}</LinkButton>}
          <Button onClick={talk.clear} disabled={talk.turns.length === 0}>
            {t("clear")}
          </Button>
        </Space>
      }
    >
      <section className="card play-setting" aria-label={t("parameters")}>
        <Labelled label={t("models")} id="play-models" wide>
          <Select
            id="play-models"
            mode="multiple"
            maxCount={MOST_MODELS}
            placeholder={t("models.pick")}
            value={setting.models}
            loading={found.isPending}
            options={names.map((name) => ({ value: name, label: name }))}
            onChange={(models: string[]) => set({ models })}
          />
        </Labelled>
        {SAMPLING.map(({ key, min, max, step }) => (
          <Labelled key={key} label={t(key)} id={`play-${key}`}>
            <InputNumber
              id={`play-${key}`}
              min={min}
              max={max}
              step={step}
              {...(Number.isInteger(step) && { precision: 0 })}
              placeholder={t("default")}
              value={setting.sampling[key] ?? null}
              onChange={(value) => set({ sampling: { ...setting.sampling, [key]: value ?? undefined } })}
            />
          </Labelled>
        ))}
        <Labelled label={t("system")} id="play-system" full>
          <Input.TextArea
            id="play-system"
            rows={1}
            placeholder={t("system.hint")}
            value={setting.system}
            onChange={(event) => set({ system: event.target.value })}
          />
        </Labelled>
      </section>
      <section aria-label={t("conversation")} className="play-talk">
        {talk.turns.length === 0 && <p className="quiet play-start">{t("start")}</p>}
        {talk.turns.map((turn, index) => (
          <div key={index} className="play-turn">
            <div className="bubble play-question">{turn.question}</div>
            <div className="play-answers" data-count={Object.keys(turn.answers).length}>
              {Object.entries(turn.answers).map(([model, answer]) => (
                <Said
                  key={model}
                  model={model}
                  answer={answer}
                  asked={messagesFor(model, setting.system, talk.turns.slice(0, index + 1))}
                  again={index === talk.turns.length - 1 && answer.state !== "coming" ? () => talk.again(model, setting) : undefined}
                />
              ))}
            </div>
          </div>
        ))}
      </section>
      {!asks && <Alert type="warning" showIcon title={t("blocked")} />}
      <form
        className="play-ask card"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <Input.TextArea
          aria-label={t("ask")}
          placeholder={t("ask")}
          rows={1}
          value={question}
          onChange={(event) => setQuestion(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <Space>
          {talk.busy && <Button onClick={talk.stop}>{t("stop")}</Button>}
          <Button type="primary" htmlType="submit" disabled={!ready}>
            {t("send")}
          </Button>
        </Space>
      </form>
      <Drawer open={showing} onClose={() => setShowing(false)} title={t("code")} size={620}>
        {setting.models.map((model) => (
          <section key={model} className="play-code">
            <h2>{model}</h2>
            <CodeTabs samples={chatCode(location.origin, model, messagesFor(model, setting.system, shown), setting.sampling)} />
          </section>
        ))}
      </Drawer>
    </Page>
  );
}

function Labelled({ label, id, wide = false, full = false, children }: { label: string; id: string; wide?: boolean; full?: boolean; children: ReactNode }) {
  return (
    <div className={full ? "play-full" : wide ? "play-wide" : undefined}>
      <label htmlFor={id}>{label}</label>
      {children}
    </div>
  );
}

type SaidProps = { model: string; answer: Answer; asked: Message[]; again: (() => void) | undefined };

function Said({ model, answer, asked, again }: SaidProps) {
  const t = words.use();
  const may = useMay();
  const { told } = answer;
  return (
    <article className="play-answer" aria-label={model} aria-busy={answer.state === "coming"}>
      <header>
        <strong>{model}</strong>
        {again !== undefined && (
          <Button size="small" type="text" onClick={again}>
            {t("again")}
          </Button>
        )}
      </header>
      <div className="bubble" data-role="assistant" aria-live="polite">
        {answer.text}
        {answer.state === "coming" && <span className="quiet"> {t("coming")} …</span>}
        {answer.state === "done" && answer.text === "" && <span className="quiet">{t("empty")}</span>}
      </div>
      {answer.refusal !== undefined && <Refused refusal={answer.refusal} />}
      <footer className="quiet number">
        {answer.state === "stopped" && t("stopped")}
        {told !== undefined &&
          [
            t("figures", { first: Math.round(told.firstMs), total: Math.round(told.totalMs) }),
            told.tokens === null ? "" : t("tokens", { n: told.tokens }),
            told.finish === "length" ? t("cut") : "",
          ]
            .filter(Boolean)
            .join(" · ")}
        {told !== undefined && (
          <>
            {" · "}
            <Link to={`/requests/${told.requestId}`}>{told.requestId}</Link>
          </>
        )}
      </footer>
      {told !== undefined && may("inference", "operate") && <Thumbs requestId={told.requestId} model={model} messages={asked} answer={answer.text} />}
    </article>
  );
}
