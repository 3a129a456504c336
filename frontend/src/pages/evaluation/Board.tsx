// The scoreboard with its intervals, the paired comparison with the baseline, and what the gate found.
import { Alert, Table, Tag } from "antd";
import { useMemo } from "react";
import type { CellOut, EvalOut } from "@/api/generated/types.gen";
import { Chart } from "@/ui/Chart";
import { People } from "./People";
import { words } from "./words";

const SURE = 0.05;
const figure = (value: number | null) => (value === null ? "–" : value.toFixed(3));
const probability = (value: number | null) => (value === null ? "–" : value < 0.001 ? "< 0.001" : value.toFixed(3));

function Score({ cell }: { cell: CellOut | undefined }) {
  if (cell === undefined) return <>–</>;
  return (
    <span className="number">
      <strong>{figure(cell.value)}</strong>{" "}
      <span className="quiet">
        [{figure(cell.low)}, {figure(cell.high)}] n={cell.n}
      </span>
    </span>
  );
}

export function Board({ run }: { run: EvalOut }) {
  const t = words.use();
  const group = (name: string) => (name === "all" ? t("group.all") : name);
  const metric = run.metrics[0];
  const option = useMemo(() => {
    const rows = run.scoreboard.filter((each) => each.metric === metric);
    return {
      xAxis: { type: "category", data: rows.map((each) => (each.group === "all" ? t("group.all") : each.group)) },
      yAxis: { type: "value" },
      series: run.candidates.map((candidate) => ({
        type: "bar",
        name: candidate.name,
        barMaxWidth: 36,
        data: rows.map((each) => each.scores.find((cell) => cell.version_id === candidate.version_id)?.value ?? null),
      })),
    };
  }, [run.scoreboard, run.candidates, metric, t]);
  if (run.scoreboard.length === 0) return <p className="quiet">{t("board.none")}</p>;
  return (
    <div className="eval-stack">
      <Findings run={run} />
      <section className="card">
        <h2 className="eval-title">{t("board.chart", { metric: metric ?? "" })}</h2>
        <Chart option={option} label={t("board.chart", { metric: metric ?? "" })} />
      </section>
      <section>
        <h2 className="eval-title">{t("board")}</h2>
        <p className="quiet">{t("board.note")}</p>
        <Table
          size="small"
          pagination={false}
          scroll={{ x: "max-content" }}
          rowKey={(row) => `${row.group}/${row.metric}`}
          dataSource={run.scoreboard}
          columns={[
            { title: t("group"), render: (_, row) => group(row.group) },
            { title: t("metric"), dataIndex: "metric" },
            ...run.candidates.map((candidate, index) => ({
              title: index === 0 ? `${candidate.name} (${t("baseline")})` : candidate.name,
              render: (_: unknown, row: (typeof run.scoreboard)[number]) => <Score cell={row.scores.find((each) => each.version_id === candidate.version_id)} />,
            })),
          ]}
        />
      </section>
      {run.paired.length > 0 && <Paired run={run} />}
      {run.phase === "succeeded" && <People run={run} />}
    </div>
  );
}

function Paired({ run }: { run: EvalOut }) {
  const t = words.use();
  const name = (id: string) => run.candidates.find((each) => each.version_id === id)?.name ?? id;
  const verdict = (difference: number | null, p: number | null) =>
    difference === null || p === null || p >= SURE ? "same" : difference > 0 ? "better" : "worse";
  const colour = { same: "default", better: "success", worse: "error" };
  return (
    <section>
      <h2 className="eval-title">{t("paired")}</h2>
      <p className="quiet">{t("paired.note")}</p>
      <Table
        size="small"
        pagination={false}
        scroll={{ x: "max-content" }}
        rowKey={(row) => `${row.a}/${row.b}/${row.group}/${row.metric}`}
        dataSource={run.paired}
        columns={[
          { title: t("candidates"), render: (_, row) => `${name(row.a)} − ${name(row.b)}` },
          { title: t("group"), render: (_, row) => (row.group === "all" ? t("group.all") : row.group) },
          { title: t("metric"), dataIndex: "metric" },
          { title: t("paired.difference"), align: "right", render: (_, row) => <strong className="number">{figure(row.difference)}</strong> },
          { title: t("paired.interval"), align: "right", render: (_, row) => <span className="number">{`[${figure(row.low)}, ${figure(row.high)}]`}</span> },
          { title: t("paired.p"), align: "right", render: (_, row) => <span className="number">{probability(row.p_value)}</span> },
          { title: "n", align: "right", dataIndex: "n" },
          {
            title: t("paired.verdict"),
            render: (_, row) => {
              const said = verdict(row.difference, row.p_value);
              return <Tag color={colour[said]}>{t(`paired.${said}`)}</Tag>;
            },
          },
        ]}
      />
    </section>
  );
}

function Findings({ run }: { run: EvalOut }) {
  const t = words.use();
  if (run.gate_passed === null) return null;
  const name = (id: string) => run.candidates.find((each) => each.version_id === id)?.name ?? id;
  return (
    <Alert
      type={run.gate_passed ? "success" : "error"}
      showIcon
      title={`${t("gate.title")}: ${t(run.gate_passed ? "gate.passed" : "gate.failed")}`}
      description={
        <ul className="eval-findings">
          {run.gate_findings.map((each, index) => {
            const { rule } = each;
            const bound = rule.min ?? rule.not_worse ?? null;
            return (
              <li key={index}>
                <Tag color={each.passed ? "success" : "error"}>{t(each.passed ? "gate.passed" : "gate.failed")}</Tag>
                {t(rule.min === null || rule.min === undefined ? "gate.not_worse" : "gate.min", {
                  name: name(rule.candidate),
                  group: rule.group === "all" || rule.group === undefined ? t("group.all") : rule.group,
                  metric: rule.metric,
                  value: figure(each.value),
                  baseline: figure(each.baseline),
                  bound: figure(bound),
                })}
              </li>
            );
          })}
        </ul>
      }
    />
  );
}
