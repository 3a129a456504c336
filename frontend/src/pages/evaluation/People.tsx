// What people think of the answers, beside the automatic scores: the mean by dimension, with its interval.
import { useQuery } from "@tanstack/react-query";
import { Table } from "antd";
import { evalsRatingsOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { EvalOut } from "@/api/generated/types.gen";
import { words } from "./words";

export function People({ run }: { run: EvalOut }) {
  const t = words.use();
  const found = useQuery({ ...evalsRatingsOptions({ path: { run_id: run.id } }), staleTime: 5_000 });
  const board = found.data?.board ?? [];
  if (board.length === 0) return null;
  const rows = (found.data?.dimensions ?? []).filter((dimension) => board.some((cell) => cell.dimension === dimension)).map((dimension) => ({ dimension }));
  return (
    <section>
      <h2 className="eval-title">{t("people")}</h2>
      <p className="quiet">{t("people.note")}</p>
      <Table
        size="small"
        pagination={false}
        scroll={{ x: "max-content" }}
        rowKey="dimension"
        dataSource={rows}
        columns={[
          { title: t("dimension"), render: (_, row) => t(`dimension.${row.dimension}` as "dimension.logic") },
          ...run.candidates.map((candidate) => ({
            title: candidate.name,
            render: (_: unknown, row: (typeof rows)[number]) => {
              const cell = board.find((each) => each.dimension === row.dimension && each.version_id === candidate.version_id);
              return cell === undefined ? "–" : (
                <span className="number">
                  <strong>{cell.mean.toFixed(2)}</strong>{" "}
                  <span className="quiet">
                    [{cell.low.toFixed(2)}, {cell.high.toFixed(2)}] {t("people.cell", { n: cell.n, people: cell.people, good: Math.round(cell.good * 100) })}
                  </span>
                </span>
              );
            },
          })),
        ]}
      />
    </section>
  );
}
