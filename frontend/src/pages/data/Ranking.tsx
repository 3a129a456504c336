// Several answers to one question, picked best first; the last place is the one that is left.
import { Button, Tag } from "antd";
import { words } from "./words";

type Props = { answers: string[]; order: number[]; onPick: (place: number) => void; onAgain: () => void };

export function Ranking({ answers, order, onPick, onAgain }: Props) {
  const t = words.use();
  return (
    <div className="stack" role="group" aria-label={t("rank")}>
      <div className="quiet">
        {t("rank.how")}{" "}
        {order.length > 0 && (
          <Button size="small" onClick={onAgain}>
            {t("rank.again")} (R)
          </Button>
        )}
      </div>
      {answers.map((text, place) => {
        const rank = order.indexOf(place);
        return (
          <div key={place} className="rank">
            <Button type={rank < 0 ? "default" : "primary"} disabled={rank >= 0} aria-label={t("rank.pick", { n: place + 1 })} onClick={() => onPick(place)}>
              {place + 1}
            </Button>
            <div className="bubble">{text}</div>
            {rank >= 0 && <Tag color="success">{t("rank.place", { n: rank + 1 })}</Tag>}
          </div>
        );
      })}
    </div>
  );
}
