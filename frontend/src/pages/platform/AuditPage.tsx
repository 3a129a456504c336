// Who changed what, when, from where: searched, opened, exported, and checked to be whole.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Checkbox, Input, Table, Tag } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { useFilter, usePager } from "@/api/cursor";
import { download } from "@/api/download";
import { auditCheckRetrieveOptions, auditRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { EntryOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { language } from "@/i18n";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { dateTime, Hash } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { actOf, nameOf, pageOf, plain } from "./acts";
import { actWords } from "./actWords";
import { changes } from "./changes";
import "./platform.css";
import { words } from "./words";

const COLOURS = { asked: "processing", done: "success", refused: "error" } as const;
const WHOLE_LOG = "slipway-audit.jsonl";

function useSearch(name: string) {
  const [value, set] = useFilter(name);
  const t = words.use();
  const field = (
    <Input.Search key={name} allowClear defaultValue={value ?? ""} placeholder={t(`find.${name}` as "find.actor")} aria-label={t(`find.${name}` as "find.actor")} onSearch={(text) => set(text.trim() || undefined)} />
  );
  return { value, field };
}

export default function AuditPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager();
  const actor = useSearch("actor");
  const action = useSearch("action");
  const object = useSearch("object");
  const request = useSearch("request_id");
  const [since, setSince] = useFilter("since");
  const [all, setAll] = useFilter("all");
  const wide = may("organisation", "read");
  const query = {
    limit: 30,
    ...(pager.cursor !== undefined && { cursor: Number(pager.cursor) }),
    ...(actor.value !== undefined && { actor: actor.value }),
    ...(action.value !== undefined && { action: action.value }),
    ...(object.value !== undefined && { object: object.value }),
    ...(request.value !== undefined && { request_id: request.value }),
    ...(since !== undefined && { since: new Date(since).toISOString() }),
    ...(wide && all === "1" && { everywhere: true }),
  };
  const found = useQuery(auditRetrieveOptions({ query }));
  return (
    <Page title={t("audit")} lead={t("audit.lead")} actions={may("platform", "read") && <Whole />}>
      <div className="filters">
        {actor.field}
        {action.field}
        {object.field}
        {request.field}
        <Input type="date" aria-label={t("find.since")} title={t("find.since")} value={since ?? ""} onChange={(event) => setSince(event.target.value || undefined)} />
        {wide && (
          <Checkbox checked={all === "1"} onChange={(event) => setAll(event.target.checked ? "1" : undefined)}>
            {t("everywhere")}
          </Checkbox>
        )}
      </div>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      <section aria-label={t("audit")}>
        <Table<EntryOut>
          size="middle"
          pagination={false}
          scroll={{ x: "max-content" }}
          rowKey="number"
          loading={found.isPending}
          dataSource={found.data?.data ?? []}
          locale={{ emptyText: <div className="empty">{t("audit.empty")}</div> }}
          expandable={{ expandedRowRender: (row) => <Entry entry={row} />, expandRowByClick: true }}
          columns={[
            { title: t("audit.number"), dataIndex: "number" },
            { title: t("audit.at"), render: (_, row) => <time dateTime={row.at}>{dateTime(row.at)}</time> },
            { title: t("audit.actor"), dataIndex: "actor" },
            { title: t("audit.action"), render: (_, row) => <Done action={row.action} /> },
            { title: t("audit.object"), render: (_, row) => <Thing entry={row} /> },
            { title: t("audit.outcome"), render: (_, row) => <Tag color={COLOURS[row.outcome]}>{t(`outcome.${row.outcome}`)}{row.outcome === "refused" && ` ${row.status}`}</Tag> },
          ]}
        />
        <div className="pager">
          <Button disabled={pager.isFirst} onClick={pager.previous}>
            {tui("page.previous")}
          </Button>
          <Button disabled={!found.data?.next_cursor} onClick={() => found.data?.next_cursor && pager.next(found.data.next_cursor)}>
            {tui("page.next")}
          </Button>
        </div>
      </section>
    </Page>
  );
}

/** What was done, in words where there are some. */
function Done({ action }: { action: string }) {
  const t = actWords.use();
  const act = actOf(action);
  if (act === null) return <span className="mono">{plain(action)}</span>;
  const said = t(act.done as "POST *");
  if (act.kind === "") return <>{said}</>;
  // Chinese has no spaces between words.
  return <>{[said, t(act.kind as "jobs")].join(language() === "zh" ? "" : " ")}</>;
}

/** What it was done to: by name where the entry tells one, and the way to its page where it has one. */
function Thing({ entry }: { entry: EntryOut }) {
  const name = nameOf(entry);
  const to = pageOf(entry);
  const said = name ?? (entry.object.length > 20 ? `${entry.object.slice(0, 8)}…` : entry.object);
  return <span className={name === undefined ? "mono" : ""}>{to === undefined ? said : <Link to={to}>{said}</Link>}</span>;
}

function Entry({ entry }: { entry: EntryOut }) {
  const t = words.use();
  const changed = changes(entry.before, entry.after);
  return (
    <div className="stack">
      <Facts
        facts={[
          [t("audit.request"), <Hash key="r" value={entry.request_id} length={28} />],
          [t("audit.route"), <span key="a" className="mono">{entry.action}</span>],
          [t("audit.object"), entry.object === "" ? "–" : <Hash key="o" value={entry.object} length={36} />],
          [t("audit.origin"), entry.origin],
          [t("audit.key"), entry.key === null ? "–" : <Hash key="k" value={entry.key} />],
          [t("audit.hash"), <Hash key="h" value={entry.hash} />],
        ]}
      />
      {changed.length > 0 && (
        <Table
          size="small"
          pagination={false}
          rowKey="field"
          dataSource={changed}
          columns={[
            { title: t("change.field"), dataIndex: "field" },
            { title: t("change.before"), render: (_, row) => <del className="mono change">{row.before}</del> },
            { title: t("change.after"), render: (_, row) => <ins className="mono change">{row.after}</ins> },
          ]}
        />
      )}
      {entry.asked !== null && (
        <div>
          <div className="quiet">{t("audit.asked")}</div>
          <pre className="code mono" tabIndex={0}>{JSON.stringify(entry.asked, null, 2)}</pre>
        </div>
      )}
    </div>
  );
}

/** The whole log of the installation: as a file, and whether its chain is unbroken. */
function Whole() {
  const t = words.use();
  const [asked, setAsked] = useState(false);
  const check = useQuery({ ...auditCheckRetrieveOptions(), enabled: asked, refetchOnMount: false });
  const fetched = useMutation({ mutationFn: () => download("/api/v1/audit/export", WHOLE_LOG) });
  const may = useMay();
  return (
    <>
      {check.data !== undefined && (
        <Alert
          type={check.data.whole ? "success" : "error"}
          showIcon
          title={
            check.data.whole ? (
              <>
                {t("check.whole")} {t("check.key")} <Hash value={check.data.public_key} />
              </>
            ) : (
              t("check.broken", { faults: check.data.faults.map((each) => `${each.number}: ${each.rule}`).join("; ") })
            )
          }
        />
      )}
      {check.error && <Refused refusal={refusalOf(check.error)} />}
      <Button loading={check.isFetching} onClick={() => (asked ? void check.refetch() : setAsked(true))}>
        {t("check")}
      </Button>
      {may("platform", "read") && (
        <Button loading={fetched.isPending} onClick={() => fetched.mutate()}>
          {t("export")}
        </Button>
      )}
    </>
  );
}
