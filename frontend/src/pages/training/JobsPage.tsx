// The list of fine-tunes: what runs, what waits, what came of them.
import { useQuery } from "@tanstack/react-query";
import { Input, Progress, Select } from "antd";
import { Link } from "react-router";
import { listed, useFilter, usePager } from "@/api/cursor";
import { jobsListOptions } from "@/api/generated/@tanstack/react-query.gen";
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
import "./training.css";
import { words } from "./words";

const PHASES: RunPhase[] = ["queued", "running", "paused", "harvesting", "succeeded", "failed", "cancelled"];

export default function JobsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager();
  const [phase, setPhase] = useFilter("phase");
  const [search, setSearch] = useFilter("search");
  const asked = PHASES.find((each) => each === phase);
  const found = useQuery({
    ...jobsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order, phase: asked, search } }),
    refetchInterval: live,
  });
  const fresh = !may("training", "operate") ? undefined : (
    <LinkButton type="primary" to="/training/new">
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
            className="filter-wide"
            placeholder={t("filter.phase")}
            aria-label={t("filter.phase")}
            value={asked ?? null}
            onChange={(value: string | undefined) => setPhase(value)}
            options={PHASES.map((each) => ({ value: each, label: tui(`phase.${each}` as "phase.queued") }))}
          />
          </>
        }
        columns={[
          { title: tui("name"), render: (_, row) => <Link to={`/training/${row.id}`}>{row.name}</Link> },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          {
            title: t("progress"),
            render: (_, row) => (
              <Progress
                percent={Math.round(row.progress.percent)}
                size="small"
                aria-label={`${t("progress")}: ${row.name}`}
                className="list-progress"
                status={row.phase === "failed" ? "exception" : row.phase === "running" ? "active" : "normal"}
              />
            ),
          },
          { title: t("base"), render: (_, row) => row.base.name },
          { title: t("data"), render: (_, row) => row.dataset.name },
          { title: t("result"), dataIndex: "model" },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}
