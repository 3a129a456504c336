// Rows of this version that are, nearly or wholly, in another one: what training saw cannot judge it.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Select, Table } from "antd";
import { useState } from "react";
import { datasetsVersionsListOptions, datasetVersionsLeaksCreateMutation, datasetVersionsLeaksListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetLeakCheckOut, DatasetVersionOut } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { count, When } from "@/ui/figures";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { said } from "@/ui/said";
import { words } from "./words";

export function Leaks({ version }: { version: DatasetVersionOut }) {
  const t = words.use();
  const operates = useMay()("datasets", "operate");
  const path = { version_id: version.id };
  const [other, setOther] = useState<string | null>(null);
  const found = useQuery({ ...datasetVersionsLeaksListOptions({ path }), refetchInterval: live });
  const versions = useQuery(datasetsVersionsListOptions({ path: { dataset_id: version.dataset_id }, query: { limit: 200 } }));
  const start = useMutation({ ...datasetVersionsLeaksCreateMutation(), onSuccess: () => setOther(null) });
  const label = (id: string) => {
    const number = versions.data?.data.find((each) => each.id === id)?.number;
    return number === undefined ? t("leaks.elsewhere") : `${version.dataset}@${number}`;
  };
  return (
    <div className="stack">
      <p className="quiet">{t("leaks.lead")}</p>
      {operates && (
        <div className="filters">
          <Select
            aria-label={t("leaks.other")}
            placeholder={t("leaks.other")}
            className="filter-wide"
            popupMatchSelectWidth={false}
            value={other}
            onChange={setOther}
            options={(versions.data?.data ?? []).filter((each) => each.id !== version.id && each.rows > 0).map((each) => ({ value: each.id, label: label(each.id) }))}
          />
          <Button disabled={other === null} loading={start.isPending} onClick={() => other !== null && start.mutate({ path, body: { other } })}>
            {t("leaks.start")}
          </Button>
        </div>
      )}
      {found.error && <Refused refusal={refusalOf(found.error)} />}
      {found.data?.data.length === 0 && <p>{t("leaks.none")}</p>}
      {found.data?.data.map((check) => <Check key={check.id} check={check} rows={version.rows} other={label(check.other_id)} />)}
    </div>
  );
}

function Check({ check, rows, other }: { check: DatasetLeakCheckOut; rows: number; other: string }) {
  const t = words.use();
  const values = { n: count(check.leaking_rows), all: count(rows), other };
  return (
    <section className="card" aria-label={t("leaks.with", { other })}>
      <p>
        <strong>{t("leaks.with", { other })}</strong> <Phase phase={check.phase} reason={check.reason} /> <When at={check.created_at} />
      </p>
      {check.phase === "failed" && <Alert type="error" showIcon title={said(check.reason)} />}
      {check.phase === "done" && (
        <Alert type={check.leaking_rows > 0 ? "warning" : "success"} showIcon title={check.leaking_rows > 0 ? t("leaks.found", values) : t("leaks.clean", values)} {...(check.leaking_rows > 0 && { description: t("leaks.found.what") })} />
      )}
      {check.pairs.length > 0 && (
        <Table
          size="small"
          className="spaced"
          scroll={{ x: "max-content" }}
          pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }}
          rowKey={(pair) => `${pair.row}-${pair.other_row}`}
          dataSource={check.pairs}
          columns={[
            { title: t("leaks.here"), render: (_, pair) => <Side number={pair.row} text={pair.text} /> },
            { title: other, render: (_, pair) => <Side number={pair.other_row} text={pair.other_text} /> },
            { title: t("leaks.alike"), align: "end", render: (_, pair) => <span className="number">{Math.round(100 * pair.similarity)} %</span> },
          ]}
        />
      )}
      {check.pair_count > check.pairs.length && <p className="quiet">{t("leaks.first", { n: count(check.pairs.length), all: count(check.pair_count) })}</p>}
    </section>
  );
}

function Side({ number, text }: { number: number; text: string }) {
  const t = words.use();
  return (
    <>
      <div className="quiet">{t("rows.open", { n: number + 1 })}</div>
      <div className="leak-text">{text}</div>
    </>
  );
}
