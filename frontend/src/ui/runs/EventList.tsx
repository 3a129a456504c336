// What happened to something, newest first: when, what, why.
import { Tag } from "antd";
import { When } from "../figures";
import { Phase } from "../Phase";
import { said } from "../said";
import { words } from "./words";

export type Happened = { id: string; at: string; level: string; kind: string; source: string; target: string; reason: string };

export function EventList({ events }: { events: Happened[] | undefined }) {
  const t = words.use();
  if (events === undefined) return null;
  if (events.length === 0) return <p className="quiet">{t("events.none")}</p>;
  return (
    <ol className="events" aria-label={t("events.label")}>
      {events.map((each) => (
        <li key={each.id}>
          <span className="events-at">
            <When at={each.at} />
          </span>
          <span>{each.target === "" ? <Tag color={colour(each.level)}>{each.kind in KINDS ? t(`event.${each.kind as keyof typeof KINDS}`) : each.kind}</Tag> : <Phase phase={each.target} />}</span>
          <span className="events-why">{said(each.reason)}</span>
        </li>
      ))}
    </ol>
  );
}

/** Kinds of events that have a word. */
const KINDS = { adapter: 1, changed: 1, checkpoint: 1, failed: 1, recovered: 1, stage: 1, tracking: 1, warning: 1 };
const colour = (level: string) => (level === "error" ? "error" : level === "warning" ? "warning" : "default");
