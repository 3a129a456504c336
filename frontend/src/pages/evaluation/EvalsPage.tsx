// The list of evaluations: who was judged on what, and whether the gate let them through.
import { useQuery } from "@tanstack/react-query";
import { Input, Select, Tag } from "antd";
import { Link } from "react-router";
import { listed, useFilter, usePager } from "@/api/cursor";
import { evalsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { RunPhase } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { useMay } from "@/shell/session";
import { When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Blank } from "@/ui/runs/Blank";
import { LinkButton } from "@/ui/runs/LinkButton";
import "@/ui/runs/runs.css";
import { words as uiWords } from "@/ui/words";
import "./evaluation.css";
import { words } from "./words";

const PHASES: RunPhase[] = ["queued", "running", "paused", "harvesting", "succeeded", "failed", "cancelled"];

export function Gate({ passed }: { passed: boolean | null }) {
  const t = words.use();
  if (passed === null) return <>{t("gate.none")}</>;
  return <Tag color={passed ? "success" : "error"}>{t(passed ? "gate.passed" : "gate.failed")}</Tag>;
}

export default function EvalsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager();
  const [phase, setPhase] = useFilter("phase");
  const [search, setSearch] = useFilter("search");
  const asked = PHASES.find((each) => each === phase);
  const found = useQuery({ ...evalsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order, phase: asked, search } }), refetchInterval: live });
  const fresh = !may("evaluation", "operate") ? undefined : (
    <LinkButton type="primary" to="/evaluation/new">
      {t("new")}
    </LinkButton>
  );
  return (
    <Page title={t("title")} lead={t("lead")} actions={fresh}>
      <ListTable
        label={t("title")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={asked === undefined && search === undefined ? <Blank title={t("empty.title")} text={t("empty.text")} action={fresh} /> : tui("filters.none")}
        filters={
          <>
          <Input.Search allowClear defaultValue={search} onSearch={setSearch} placeholder={tui("search.name")} aria-label={tui("search.name")} />
          <Select
            allowClear
            className="eval-filter"
            placeholder={t("filter.phase")}
            aria-label={t("filter.phase")}
            value={asked ?? null}
            onChange={(value: string | undefined) => setPhase(value)}
            options={PHASES.map((each) => ({ value: each, label: tui(`phase.${each}` as "phase.queued") }))}
          />
          </>
        }
        columns={[
          { title: tui("name"), render: (_, row) => <Link to={`/evaluation/${row.id}`}>{row.name}</Link> },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("candidates"), render: (_, row) => row.candidates.map((each) => each.name).join(" · ") },
          { title: t("data"), render: (_, row) => row.dataset.name },
          { title: t("gate"), render: (_, row) => <Gate passed={row.gate_passed} /> },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}
