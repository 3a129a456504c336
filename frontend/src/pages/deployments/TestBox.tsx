// One question to a deployment, and its answer as it comes.
import { Button, Input } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { ask, type Told } from "@/api/chat";
import type { DeploymentOut } from "@/api/generated/types.gen";
import { type Refusal, refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Refused } from "@/ui/Refused";
import { LinkButton } from "@/ui/runs/LinkButton";
import { words } from "./words";

export function TestBox({ deployment }: { deployment: DeploymentOut }) {
  const t = words.use();
  const asks = useMay()("inference", "operate");
  const [question, setQuestion] = useState("");
  const [answer, setAnswer] = useState<string | null>(null);
  const [told, setTold] = useState<Told | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [busy, setBusy] = useState(false);
  const send = async () => {
    if (question.trim() === "" || busy) return;
    setBusy(true);
    setRefusal(null);
    setTold(null);
    setAnswer("");
    try {
      const messages = [{ role: "user" as const, content: question }];
      setTold(await ask({ model: deployment.name, messages }, setAnswer, AbortSignal.timeout(300_000)));
    } catch (error) {
      setRefusal(refusalOf(error));
    }
    setBusy(false);
  };
  if (deployment.serving === null) return <p className="quiet">{t("test.down")}</p>;
  if (!asks) return <p className="quiet">{t("test.blocked")}</p>;
  return (
    <form
      className="card deploy-test"
      aria-label={t("test")}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <label htmlFor="deploy-question">{t("test.ask")}</label>
      <Input.TextArea id="deploy-question" rows={2} value={question} onChange={(event) => setQuestion(event.target.value)} />
      <div className="deploy-buttons">
        <Button type="primary" htmlType="submit" loading={busy} disabled={question.trim() === ""}>
          {t("test.send")}
        </Button>
        <LinkButton to={`/playground?models=${encodeURIComponent(deployment.name)}${question === "" ? "" : `&q=${encodeURIComponent(question)}`}`}>{t("test.more")}</LinkButton>
      </div>
      {refusal !== null && <Refused refusal={refusal} />}
      {answer !== null && refusal === null && (
        <div className="bubble" data-role="assistant" aria-live="polite" aria-label={t("test.answer")} role="status">
          {answer}
        </div>
      )}
      {told !== null && (
        <p className="quiet number">
          {t("test.figures", { first: Math.round(told.firstMs), total: Math.round(told.totalMs) })} · <Link to={`/requests/${told.requestId}`}>{told.requestId}</Link>
        </p>
      )}
    </form>
  );
}
