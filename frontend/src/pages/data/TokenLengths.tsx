// How long rows are in tokens, by the tokenizer and chat template of the model that is to learn from them.
import { useQuery } from "@tanstack/react-query";
import { Select } from "antd";
import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import { useFilter } from "@/api/cursor";
import { trainingTokenLengthsOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetVersionOut } from "@/api/generated/types.gen";
import { useModelVersions } from "@/api/picks";
import { refusalOf } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { count } from "@/ui/figures";
import { Refused } from "@/ui/Refused";
import { bars, span } from "./bars";
import { words } from "./words";

export function TokenLengths({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const [base, setBase] = useFilter("base");
  const [, setSearch] = useSearchParams();
  const models = useModelVersions();
  const found = useQuery({
    ...trainingTokenLengthsOptions({ query: { base: base ?? "", dataset: version.id } }),
    enabled: base !== undefined,
    staleTime: Infinity,
    retry: false,
  });
  const lengths = found.data?.bars;
  const option = useMemo(() => bars((lengths ?? []).map(span), (lengths ?? []).map((each) => each.rows)), [lengths]);
  const pick = useCallback(
    (name: string) => {
      const bar = lengths?.find((each) => span(each) === name);
      if (bar && base !== undefined) setSearch({ tab: "rows", base, tokens_at_least: String(bar.low), tokens_at_most: String(bar.high) });
    },
    [lengths, base, setSearch],
  );
  return (
    <section className="card stack" aria-label={t("tokens")}>
      <div className="filters">
        <strong>{t("tokens.pick")}</strong>
        <Select
          allowClear
          className="token-base"
          aria-label={t("tokens.base")}
          placeholder={t("tokens.base")}
          loading={models.loading || found.isFetching}
          showSearch={{ optionFilterProp: "label" }}
          value={base ?? null}
          options={models.choices.map(({ value, label }) => ({ value, label }))}
          onChange={(value: string | undefined) => setBase(value)}
        />
      </div>
      {found.error && <Refused refusal={refusalOf(found.error)} />}
      {found.data !== undefined && (
        <>
          <div>
            {t(found.data.exact ? "tokens.all" : "tokens.about", { n: count(found.data.tokens) })}{" "}
            <span className="quiet">{t("tokens.longest", { rows: found.data.longest.map((each) => `#${each.number}: ${count(each.tokens)}`).join(" · ") })}</span>
          </div>
          <Chart option={option} label={`${t("tokens")}: ${found.data.bars.map((each) => `${span(each)}: ${each.rows}`).join(", ")}`} onPick={pick} />
        </>
      )}
    </section>
  );
}
