// What differs between this version and an older one: rows added, removed, answered anew.
import { useQuery } from "@tanstack/react-query";
import { Select, Tag } from "antd";
import { useFilter } from "@/api/cursor";
import { datasetsVersionsListOptions, datasetVersionsDiffRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetDifferenceOut, DatasetVersionOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { count } from "@/ui/figures";
import { marked } from "@/ui/marks";
import { turnsOf } from "@/ui/Messages";
import { Refused } from "@/ui/Refused";
import { answerOf, type Row } from "./labels";
import { words } from "./words";

const CHECKED = new Set(["valid", "invalid", "published"]);
const asked = (row: unknown) => turnsOf(row).findLast((each) => each.role === "user")?.text ?? turnsOf(row)[0]?.text ?? "";

export function Compare({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const versions = useQuery(datasetsVersionsListOptions({ path: { dataset_id: version.dataset_id }, query: { limit: 200 } }));
  const others = (versions.data?.data ?? []).filter((each) => each.id !== version.id && CHECKED.has(each.phase));
  const [chosen, setOther] = useFilter("other");
  const other = chosen ?? others.find((each) => each.number < version.number)?.id ?? others[0]?.id;
  const found = useQuery({
    ...datasetVersionsDiffRetrieveOptions({ path: { version_id: version.id, other_version_id: other ?? "" } }),
    enabled: other !== undefined,
    staleTime: Infinity,
  });
  if (versions.data !== undefined && others.length === 0) return <p className="quiet">{t("diff.alone")}</p>;
  const diff = found.data;
  return (
    <div className="stack">
      <div className="filters">
        <Select aria-label={t("diff.with")} value={other ?? null} onChange={setOther} popupMatchSelectWidth={false} options={others.map((each) => ({ value: each.id, label: `${each.dataset}@${each.number} · ${each.note || t("rows.showing", { n: count(each.rows) })}` }))} />
        {diff !== undefined && (
          <span>
            <Tag color="success">+{count(diff.added_count)} {t("diff.added")}</Tag>
            <Tag color="error">−{count(diff.removed_count)} {t("diff.removed")}</Tag>
            <Tag color="warning">~{count(diff.changed_count)} {t("diff.changed")}</Tag>
            <Tag>{count(diff.same)} {t("diff.same")}</Tag>
          </span>
        )}
      </div>
      {found.error && <Refused refusal={refusalOf(found.error)} />}
      {diff !== undefined && diff.added_count + diff.removed_count + diff.changed_count === 0 && <p>{t("diff.none")}</p>}
      {diff !== undefined && (
        <ul className="diff" aria-label={t("diff.with")}>
          {diff.changed.map((each) => <Changed key={`c${each.row ?? ""}`} each={each} />)}
          {diff.added.map((each) => <Line key={`a${each.row ?? ""}`} sign="+" number={each.row} row={each.value} />)}
          {diff.removed.map((each) => <Line key={`r${each.other_row ?? ""}`} sign="−" number={each.other_row} row={each.other_value} />)}
        </ul>
      )}
      {diff !== undefined && Math.max(diff.added_count, diff.removed_count, diff.changed_count) > 200 && <p className="quiet">{t("diff.first")}</p>}
    </div>
  );
}

function Line({ sign, number, row }: { sign: "+" | "−"; number: number | null; row: unknown }) {
  return (
    <li data-sign={sign}>
      <span className="number">{sign} {(number ?? 0) + 1}</span>
      <span>{asked(row)}</span>
      <span>{answerOf(row as Row)}</span>
    </li>
  );
}

const LABELS = ["good", "bad", "edited", "ranked"];

function Changed({ each }: { each: DatasetDifferenceOut }) {
  const t = words.use();
  const old = answerOf(each.other_value as Row) ?? "";
  const now = answerOf(each.value as Row) ?? "";
  const label = (each.value as Row).label;
  return (
    <li data-sign="~">
      <span className="number">~ {(each.row ?? 0) + 1}</span>
      <span>
        {asked(each.value)} {typeof label === "string" && <Tag>{LABELS.includes(label) ? t(`label.is.${label as "good"}`) : label}</Tag>}
      </span>
      <span>
        <del>{marked(old, now).map((piece, index) => (piece.differs ? <b key={index}>{piece.text}</b> : piece.text))}</del>
        <br />
        <ins>{marked(now, old).map((piece, index) => (piece.differs ? <b key={index}>{piece.text}</b> : piece.text))}</ins>
      </span>
    </li>
  );
}
