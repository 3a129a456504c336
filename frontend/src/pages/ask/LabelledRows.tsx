// What was labelled on this page: looked at, downloaded, or added to a dataset.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, AutoComplete, Button } from "antd";
import { useState } from "react";
import { datasetsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Refused } from "@/ui/Refused";
import { LinkButton } from "@/ui/runs/LinkButton";
import { append, jsonl, type Labelled, MOST_JOINED, TooLong } from "@/api/append";
import { words } from "./words";

type Props = { rows: Labelled[]; onRemove: (index: number) => void; onAppended: () => void };

export function LabelledRows({ rows, onRemove, onAppended }: Props) {
  const t = words.use();
  const may = useMay();
  const [name, setName] = useState("");
  const datasets = useQuery({ ...datasetsListOptions({ query: { limit: 100 } }), staleTime: 30_000, enabled: rows.length > 0 });
  const add = useMutation({
    mutationFn: () => append(name.trim(), rows, t("title")),
    meta: { quiet: true },
    onSuccess: onAppended,
  });
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([jsonl(rows)], { type: "application/jsonl" }));
    link.download = "labelled.jsonl";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  return (
    <section className="card" aria-label={t("rows", { n: rows.length })}>
      <h2 className="ask-title">{t("rows", { n: rows.length })}</h2>
      {rows.length === 0 ? (
        <p className="quiet">{t("rows.none")}</p>
      ) : (
        <>
          <ul className="ask-rows">
            {rows.map((row, index) => (
              <li key={index}>
                <div>
                  {row.messages.map((each) => (
                    <div key={each.role} className={each.role === "user" ? "" : "mono"}>
                      {each.content}
                    </div>
                  ))}
                </div>
                <Button size="small" onClick={() => onRemove(index)}>
                  {t("rows.remove")}
                </Button>
              </li>
            ))}
          </ul>
          <p className="quiet">{t("rows.leave")}</p>
          <div className="ask-buttons">
            <Button onClick={download}>{t("rows.download")}</Button>
            {may("datasets", "operate") && (
              <>
                <AutoComplete
                  className="ask-dataset"
                  aria-label={t("rows.dataset")}
                  placeholder={t("rows.dataset")}
                  value={name}
                  options={(datasets.data?.data ?? []).map((each) => ({ value: each.name }))}
                  onChange={setName}
                />
                <Button type="primary" loading={add.isPending} disabled={name.trim() === ""} onClick={() => add.mutate()}>
                  {t("rows.append")}
                </Button>
              </>
            )}
          </div>
        </>
      )}
      {add.error instanceof TooLong && <Alert type="error" showIcon title={t("rows.long", { name, rows: add.error.rows, most: MOST_JOINED })} />}
      {add.error !== null && !(add.error instanceof TooLong) && <Refused refusal={refusalOf(add.error)} />}
      {add.data !== undefined && (
        <Alert
          type="success"
          showIcon
          title={t("rows.appended", { name })}
          action={<LinkButton to={`/data/${add.data.dataset}/versions/${add.data.version}`}>{t("rows.open")}</LinkButton>}
        />
      )}
    </section>
  );
}
