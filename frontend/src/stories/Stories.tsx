// What each part looks like when it has little, much, or something wrong to show.
import { type ComponentType, lazy, type ReactNode, Suspense } from "react";
import { Refusal } from "@/api/refusal";
import { Chart } from "@/ui/Chart";
import { Danger } from "@/ui/Danger";
import { DropFile } from "@/ui/DropFile";
import { EventTable } from "@/ui/EventTable";
import { Facts } from "@/ui/Facts";
import { bytes, count, Hash, seconds, When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Messages } from "@/ui/Messages";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { Blank } from "@/ui/runs/Blank";
import { CodeTabs } from "@/ui/runs/CodeTabs";
import { EventList } from "@/ui/runs/EventList";
import { LinkButton } from "@/ui/runs/LinkButton";
import { LogView } from "@/ui/runs/LogView";
import { RunBar } from "@/ui/runs/RunBar";
import { Sure } from "@/ui/runs/Sure";
import { Sending } from "@/ui/Sending";
import { Shares } from "@/ui/Shares";
import { VirtualRows } from "@/ui/VirtualRows";
import { AT, BOXES, CURVE, EVENTS, PHASES, REFUSALS, run, TURNS } from "./samples";

const Graph = lazy(() => import("@/ui/Graph"));
const nothing = () => undefined;
const pager = { next: nothing, previous: nothing, isFirst: true };
type Row = { name: string; phase: string };

const PARTS: Record<string, ComponentType> = {
  Phase: () => <div className="verbs">{PHASES.map((phase) => <Phase key={phase} phase={phase} />)}</div>,
  Refused: () => REFUSALS.map((given) => <Refused key={given.code} refusal={new Refusal(given)} onRetry={nothing} />),
  RunBar: () => (
    <>
      <RunBar run={run("queued", { position: 2, reason: "Queued behind line-charts: 1 of 1 places is taken." })} />
      <RunBar run={run("running", { first_step_at: AT })} />
      <RunBar run={run("paused", { first_step_at: AT, reason: "paused at the checkpoint of step 40: the project's budget of 5 CNY has 0.02 left. Resume it once there is room." })} />
      <RunBar run={run("failed", { first_step_at: AT, reason: "Out of memory: 9.1 GB were asked for, 8 GB are there. Halve batch_size." })} />
    </>
  ),
  ListTable: () => (
    <>
      <ListTable<Row> label="rows" rows={[{ name: "walk-base", phase: "ready" }, { name: "a name that is as long as a name may be ".repeat(3), phase: "failed" }]} rowKey={(row) => row.name} empty="" pager={pager} nextCursor="x" columns={[{ title: "name", dataIndex: "name" }, { title: "phase", render: (_, row) => <Phase phase={row.phase} /> }]} />
      <ListTable<Row> label="none" rows={[]} rowKey={(row) => row.name} empty={<Blank title="Nothing yet" text="What it would be, and how to have it." />} columns={[{ title: "name" }]} />
      <ListTable<Row> label="waits" rows={undefined} rowKey={(row) => row.name} empty="" columns={[{ title: "name" }]} />
    </>
  ),
  VirtualRows: () => (
    <VirtualRows count={1_000_000} label="rows" columns="72px 1fr" onSight={nothing} onOpen={nothing} cells={(index) => (<><span>{count(index + 1)}</span><span className="cut">{TURNS[0]?.text}</span></>)} />
  ),
  Messages: () => <Messages turns={TURNS} />,
  Chart: () => <Chart option={CURVE} label="loss" />,
  Graph: () => (
    <Suspense>
      <Graph boxes={BOXES} arrows={[{ from: "data", to: "job" }, { from: "job", to: "model" }]} here="job" label="lineage" />
    </Suspense>
  ),
  Facts: () => <Facts label="facts" facts={[["size", bytes(1_234_567)], ["rows", count(1_000_000)], ["time", seconds(3_725)], ["made", <When key="w" at={AT} />], ["hash", <Hash key="h" value={"0123456789abcdef".repeat(4)} />]]} />,
  Shares: () => <Shares of={[{ name: "walk-line", percent: 90 }, { name: "walk-base", percent: 10 }]} />,
  Events: () => (
    <>
      <EventList events={EVENTS} />
      <EventTable events={EVENTS} refusal={null} pager={pager} nextCursor={null} />
    </>
  ),
  LogView: () => <LogView live lines={Array.from({ length: 40 }, (_, n) => ({ at: AT, level: n % 9 === 8 ? "error" : "info", text: `step ${n}: loss ${(2 / (n + 1)).toFixed(4)}` }))} />,
  CodeTabs: () => <CodeTabs samples={[{ name: "curl", text: "curl -X POST https://slipway.example/api/v1/jobs" }, { name: "Python", text: "client.fine_tuning.jobs.create(…)" }]} />,
  Sending: () => <Sending name="sales.jsonl" sent={3_000_000} total={10_000_000} refusal={null} onCancel={nothing} />,
  DropFile: () => <DropFile title="Drop a file here" hint="JSONL, JSON or CSV" onFile={nothing} />,
  Dialogs: () => (
    <div className="verbs">
      <FormDialog label="Open a form" onSubmit={() => Promise.resolve()}>…</FormDialog>
      <Danger name="walk-base" breaks="Clients that call it get errors." onConfirm={nothing} />
      <Sure label="Stop" what="Stop it?" breaks="It can be started again." onConfirm={nothing} />
      <LinkButton to="/">A way elsewhere</LinkButton>
    </div>
  ),
};

export function Stories(): ReactNode {
  return (
    <main className="main">
      <Page title="ui" lead="Every part that draws.">
        {Object.entries(PARTS).map(([name, Part]) => (
          <section key={name} aria-label={name} className="card">
            <h2>{name}</h2>
            <div className="stack">
              <Part />
            </div>
          </section>
        ))}
      </Page>
    </main>
  );
}
