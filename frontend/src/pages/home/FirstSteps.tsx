// The way from nothing to an answering model; each step is a link and ticks itself when it was taken.
import { CheckCircleFilled } from "@ant-design/icons";
import { Link } from "react-router";
import { words } from "./words";

const STEPS = [
  ["model", "/models"],
  ["data", "/data"],
  ["job", "/training"],
  ["eval", "/evaluation"],
  ["deploy", "/deployments"],
  ["call", "/playground"],
] as const;

export function FirstSteps({ taken }: { taken: Record<(typeof STEPS)[number][0], boolean> }) {
  const t = words.use();
  const done = STEPS.filter(([step]) => taken[step]).length;
  return (
    <section className="card" aria-label={t("steps")}>
      <h2>{t("steps")}</h2>
      <p>{t("steps.done", { n: done, all: STEPS.length })}</p>
      <ol className="steps">
        {STEPS.map(([step, to]) => (
          <li key={step} data-done={taken[step]}>
            {taken[step] ? <CheckCircleFilled aria-label="✓" /> : <span className="steps-ring" aria-hidden />} <Link to={to}>{t(`step.${step}`)}</Link>
          </li>
        ))}
      </ol>
    </section>
  );
}
