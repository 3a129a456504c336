// A log as it is written: searched, followed, never more lines in the document than can be read.
import { Checkbox, Input } from "antd";
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { words } from "./words";

type Line = { at?: string; level?: string; text: string };
const MOST_SHOWN = 2_000;
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export function LogView({ lines, live }: { lines: Line[]; live: boolean }) {
  const t = words.use();
  const [search, setSearch] = useState("");
  const [follow, setFollow] = useState(true);
  const text = useDeferredValue(search.trim());
  const end = useRef<HTMLDivElement>(null);
  const found = useMemo(() => {
    const small = text.toLowerCase();
    return small === "" ? lines : lines.filter((each) => each.text.toLowerCase().includes(small));
  }, [lines, text]);
  const shown = found.slice(-MOST_SHOWN);
  useEffect(() => {
    const box = end.current;
    if (follow && box !== null) box.scrollTop = box.scrollHeight;
  }, [follow, shown.length]);
  return (
    <section aria-label={t("log.label")}>
      <div className="filters">
        <Input.Search allowClear placeholder={t("log.search")} aria-label={t("log.search")} onChange={(event) => setSearch(event.target.value)} />
        <Checkbox checked={follow} onChange={(event) => setFollow(event.target.checked)}>
          {t("log.follow")}
        </Checkbox>
        <span className="quiet number" aria-live="off">
          {t("log.count", { shown: shown.length, all: lines.length })}
          {live && ` · ${t("log.live")}`}
        </span>
      </div>
      <div className="log mono" ref={end} tabIndex={0} role="log" aria-label={t("log.label")} aria-live="off">
        {shown.length === 0 && <span className="quiet">{text === "" ? t("log.none") : t("log.nomatch", { text })}</span>}
        {shown.map((each, index) => (
          <div key={index} data-level={each.level}>
            {each.at !== undefined && <time dateTime={each.at}>{clock.format(new Date(each.at))} </time>}
            {each.text}
          </div>
        ))}
      </div>
    </section>
  );
}
