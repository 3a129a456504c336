// Every judged row: the question, the reference, each candidate's answer with what differs marked.
import { useQuery } from "@tanstack/react-query";
import { Button, Checkbox, Input, Tag } from "antd";
import { useState } from "react";
import { useFilter, usePager } from "@/api/cursor";
import { evalsDownloadRetrieve } from "@/api/generated/sdk.gen";
import { evalsRatingsOptions, evalsRowsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { EvalOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { local } from "@/api/upload";
import { useMay } from "@/shell/session";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { marked } from "@/ui/marks";
import { shuffled } from "./blind";
import { Rate } from "./Rate";
import { words } from "./words";

type Judged = { answer: string; scores: Record<string, number | null> };
type Row = { line: number; group: string; prompt: { role: string; content: string }[] | string; reference: string; candidates: Record<string, Judged> };

const asked = (prompt: Row["prompt"]) => (typeof prompt === "string" ? prompt : prompt.map((each) => (prompt.length > 1 ? `${each.role}: ${each.content}` : each.content)).join("\n"));
const differ = (row: Row) => new Set(Object.values(row.candidates).map((each) => JSON.stringify(each.scores))).size > 1;

export function RowsPanel({ run }: { run: EvalOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager();
  const [only, setOnly] = useState(false);
  const [text, setText] = useState("");
  const [rating, setRating] = useFilter("rate");
  const blind = rating === "blind";
  const ratings = useQuery({ ...evalsRatingsOptions({ path: { run_id: run.id } }), staleTime: 5_000, enabled: rating !== undefined });
  const found = useQuery({
    ...evalsRowsRetrieveOptions({ path: { run_id: run.id }, query: { limit: 50, ...(pager.cursor !== undefined && { cursor: pager.cursor }) } }),
    staleTime: 60_000,
  });
  const download = useQuery({
    queryKey: ["evalDownload", run.id],
    queryFn: async () => (await evalsDownloadRetrieve({ path: { run_id: run.id }, throwOnError: true })).data.url,
    enabled: found.data !== undefined,
    staleTime: 1_800_000,
  });
  if (found.error) return <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />;
  const small = text.toLowerCase();
  const rows = ((found.data?.data ?? []) as unknown as Row[]).filter((row) => (!only || differ(row)) && JSON.stringify(row).toLowerCase().includes(small));
  const next = found.data?.next_cursor;
  return (
    <section aria-label={t("rows")}>
      <div className="filters">
        <Checkbox checked={only} onChange={(event) => setOnly(event.target.checked)}>
          {t("rows.only")}
        </Checkbox>
        <Input allowClear placeholder={t("rows.search")} aria-label={t("rows.search")} value={text} onChange={(event) => setText(event.target.value)} />
        {may("evaluation", "operate") && (
          <>
            <Checkbox checked={rating !== undefined} onChange={(event) => setRating(event.target.checked ? "blind" : undefined)}>
              {t("rate")}
            </Checkbox>
            {rating !== undefined && (
              <Checkbox checked={blind} onChange={(event) => setRating(event.target.checked ? "blind" : "open")}>
                {t("rate.blind")}
              </Checkbox>
            )}
          </>
        )}
        {download.data !== undefined && <Button href={local(download.data)}>{t("download")}</Button>}
        <span className="quiet">{t("rows.legend")}</span>
      </div>
      {found.data !== undefined && rows.length === 0 && <p className="quiet">{t("rows.none")}</p>}
      {rows.map((row) => (
        <article key={row.line} className="card eval-row">
          <header>
            <Tag>{row.group}</Tag>
            <span className="quiet">{t("rows.line", { n: row.line })}</span>
          </header>
          <div className="eval-said">
            <div className="quiet">{t("rows.question")}</div>
            <div className="eval-text">{asked(row.prompt)}</div>
          </div>
          <div className="eval-said">
            <div className="quiet">{t("rows.reference")}</div>
            <div className="eval-text mono">{row.reference}</div>
          </div>
          <div className="eval-sides">
            {(blind ? shuffled(run.candidates, row.line) : run.candidates).map(({ version_id, name: real }, index) => {
              const judged = row.candidates[version_id];
              const name = blind ? t("rate.answer", { n: index + 1 }) : real;
              return judged === undefined ? null : (
                <div key={version_id}>
                  <div className="quiet">
                    {name}{" "}
                    {!blind && Object.entries(judged.scores).map(([metric, score]) => (
                      <Tag key={metric} color={score === null ? "default" : score >= 0.999 ? "success" : score <= 0 ? "error" : "warning"}>
                        {metric} {score === null ? "–" : Number(score.toFixed(3))}
                      </Tag>
                    ))}
                  </div>
                  <div className="bubble mono">
                    {marked(judged.answer, row.reference).map((piece, index) => (piece.differs ? <mark key={index}>{piece.text}</mark> : <span key={index}>{piece.text}</span>))}
                  </div>
                  {ratings.data !== undefined && rating !== undefined && <Rate run={run.id} line={row.line} version={version_id} name={name} ratings={ratings.data} />}
                </div>
              );
            })}
          </div>
        </article>
      ))}
      <div className="pager">
        <Button disabled={pager.isFirst} onClick={pager.previous}>
          {tui("page.previous")}
        </Button>
        <Button disabled={next === null || next === undefined} onClick={() => next !== null && next !== undefined && pager.next(next)}>
          {tui("page.next")}
        </Button>
      </div>
    </section>
  );
}
