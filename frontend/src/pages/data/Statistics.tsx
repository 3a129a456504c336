// What a version is like: lengths, messages, duplicates, groups.
import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import { datasetVersionsStatisticsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetSummaryOut, DatasetVersionOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { Facts } from "@/ui/Facts";
import { bytes, count } from "@/ui/figures";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { bars, span } from "./bars";
import { TokenLengths } from "./TokenLengths";
import { words } from "./words";

const QUANTILES = ["min", "p5", "median", "p95", "max"] as const;

export function Statistics({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const [, setSearch] = useSearchParams();
  const found = useQuery({ ...datasetVersionsStatisticsRetrieveOptions({ path: { version_id: version.id } }), staleTime: Infinity });
  const pick = useCallback((group: string) => setSearch({ tab: "rows", group }), [setSearch]);
  const groups = found.data?.groups;
  const byGroup = useMemo(() => bars(Object.keys(groups ?? {}), Object.values(groups ?? {})), [groups]);
  const histogram = useMemo(() => bars((found.data?.lengths ?? []).map(span), (found.data?.lengths ?? []).map((each) => each.rows)), [found.data]);
  const pickLength = useCallback(
    (name: string) => {
      const bar = found.data?.lengths.find((each) => span(each) === name);
      if (bar) setSearch({ tab: "rows", at_least: String(bar.low), at_most: String(bar.high) });
    },
    [found.data, setSearch],
  );
  if (found.error) return <Refused refusal={refusalOf(found.error)} />;
  if (found.data === undefined) return null;
  const { characters, messages, lengths } = found.data;
  return (
    <div className="page-body">
      <Facts
        facts={[
          [t("rows"), count(found.data.rows)],
          [tui("size"), bytes(found.data.size_bytes)],
          [t("stat.duplicates"), count(found.data.duplicate_rows)],
        ]}
      />
      <div className="grid2">
        {lengths.length > 0 ? (
          <section className="card" aria-label={t("stat.lengths")}>
            <strong>{t("stat.lengths.pick")}</strong>
            <Chart option={histogram} label={`${t("stat.lengths")}: ${lengths.map((each) => `${each.low}–${each.high}: ${each.rows}`).join(", ")}`} onPick={pickLength} />
          </section>
        ) : (
          <Spread summary={characters} what={t("stat.characters")} />
        )}
        <Spread summary={messages} what={t("stat.messages")} />
      </div>
      {version.phase === "published" && version.kind !== "text" && <TokenLengths version={version} />}
      {groups !== undefined && Object.keys(groups).length > 0 && (
        <section className="card" aria-label={t("stat.groups")}>
          <strong>{t("stat.groups")}</strong>
          <Chart option={byGroup} label={`${t("stat.groups")}: ${JSON.stringify(groups)}`} onPick={pick} />
        </section>
      )}
    </div>
  );
}

function Spread({ summary, what }: { summary: DatasetSummaryOut; what: string }) {
  const t = words.use();
  const option = useMemo(() => bars([...QUANTILES], QUANTILES.map((key) => summary[key])), [summary]);
  const title = t("stat.percentiles", { what });
  const said = QUANTILES.map((key) => `${key} ${summary[key]}`).join(", ");
  return (
    <section className="card" aria-label={title}>
      <strong>{title}</strong> · {t("stat.mean")} {summary.mean.toFixed(1)}
      <Chart option={option} label={`${title}: ${said}`} height={200} />
    </section>
  );
}
