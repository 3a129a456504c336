// What a person gives one answer by each dimension, 1 to 5; a second press on a figure takes it back.
import { useMutation } from "@tanstack/react-query";
import { Rate as Stars } from "antd";
import { evalsRateMutation, evalsRatingsQueryKey } from "@/api/generated/@tanstack/react-query.gen";
import type { RatingsOut } from "@/api/generated/types.gen";
import { queries } from "@/api/client";
import { words } from "./words";

type Props = { run: string; line: number; version: string; name: string; ratings: RatingsOut };

export function Rate({ run, line, version, name, ratings }: Props) {
  const t = words.use();
  const path = { run_id: run };
  const key = evalsRatingsQueryKey({ path });
  const given = ratings.mine.find((each) => each.line === line && each.version_id === version)?.scores ?? {};
  const rate = useMutation({
    ...evalsRateMutation(),
    // The answer is all there is to know: nothing else is read anew.
    meta: { last: true },
    onSuccess: (told) => queries.setQueryData(key, told),
  });
  const set = (dimension: string, score: number) => {
    const scores = Object.fromEntries(Object.entries({ ...given, [dimension]: score }).filter(([, value]) => value > 0));
    const mine = [...ratings.mine.filter((each) => each.line !== line || each.version_id !== version), { line, version_id: version, scores }];
    queries.setQueryData(key, { ...ratings, mine });
    rate.mutate({ path, body: { line, version_id: version, scores } }, { onError: () => queries.setQueryData(key, ratings) });
  };
  return (
    <div className="eval-rate" role="group" aria-label={t("rate.of", { name })}>
      {ratings.dimensions.map((dimension) => (
        <div key={dimension}>
          <span className="quiet">{t(`dimension.${dimension}` as "dimension.logic")}</span>
          <span role="group" aria-label={t(`dimension.${dimension}` as "dimension.logic")}>
            <Stars value={given[dimension] ?? 0} onChange={(score) => set(dimension, score)} />
          </span>
        </div>
      ))}
    </div>
  );
}
