// Two versions of models side by side: what they are, how they were made, what they reached, and their files.
import { useQuery } from "@tanstack/react-query";
import { Checkbox, Select, Table } from "antd";
import { useState } from "react";
import { useFilter } from "@/api/cursor";
import { modelVersionsListOptions, modelVersionsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionDetailOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { bytes, count, tokens } from "@/ui/figures";
import { Refused } from "@/ui/Refused";
import { flat, sideBySide } from "./differences";
import { words } from "./words";

export function CompareVersions({ version }: { version: ModelVersionDetailOut }) {
  const t = words.use();
  const [chosen, setChosen] = useFilter("other");
  const [all, setAll] = useState(false);
  const listed = useQuery({ ...modelVersionsListOptions({ query: { phase: "ready", limit: 500 } }), staleTime: 15_000 });
  const others = (listed.data?.data ?? []).filter((each) => each.id !== version.id);
  const other = chosen ?? (others.find((each) => each.model_id === version.model_id) ?? others.find((each) => each.id === version.base_version_id))?.id;
  const found = useQuery({ ...modelVersionsRetrieveOptions({ path: { version_id: other ?? "" } }), enabled: other !== undefined });
  if (listed.data !== undefined && others.length === 0) return <p className="quiet">{t("compare.alone")}</p>;
  const facts = (of: ModelVersionDetailOut) => ({
    [t("kind")]: t(`kind.${of.kind}`),
    [t("parameters")]: count(of.parameters),
    [t("compare.size")]: bytes(of.size_bytes),
    [t("architecture")]: of.architecture,
    [t("dtype")]: of.dtype,
    [t("context")]: tokens(of.context_length),
    [t("vocabulary")]: tokens(of.vocabulary_size),
    [t("licence")]: of.licence,
    [t("compare.dataset")]: of.dataset_version_id,
  });
  const files = (of: ModelVersionDetailOut) => Object.fromEntries(Object.entries(of.files).map(([name, file]) => [name, file.sha256.slice(0, 16)]));
  const parts: [string, (of: ModelVersionDetailOut) => Record<string, unknown>][] = [
    [t("compare.facts"), facts],
    [t("metrics"), (of) => flat(of.metrics)],
    [t("recipe"), (of) => flat(of.recipe)],
    [t("compare.files"), files],
  ];
  return (
    <div className="stack">
      <div className="filters">
        <Select
          aria-label={t("compare.with")}
          placeholder={t("compare.with")}
          value={other ?? null}
          onChange={setChosen}
          popupMatchSelectWidth={false}
          showSearch={{ optionFilterProp: "label" }}
          options={others.map((each) => ({ value: each.id, label: each.reference }))}
        />
        <Checkbox checked={all} onChange={(event) => setAll(event.target.checked)}>
          {t("compare.all")}
        </Checkbox>
      </div>
      {found.error && <Refused refusal={refusalOf(found.error)} />}
      {found.data !== undefined &&
        parts.map(([title, of]) => {
          const lines = sideBySide(of(version), of(found.data)).filter((each) => all || !each.same);
          return (
            <section key={title} aria-label={title}>
              <Table
                size="small"
                pagination={false}
                scroll={{ x: "max-content" }}
                title={() => <strong>{title}</strong>}
                rowKey="name"
                dataSource={lines}
                locale={{ emptyText: t("compare.same") }}
                columns={[
                  { title: "", render: (_, row) => <code>{row.name}</code> },
                  { title: version.reference, render: (_, row) => <span className="mono">{row.same ? row.one : <strong>{row.one}</strong>}</span> },
                  { title: found.data.reference, render: (_, row) => <span className="mono">{row.same ? row.other : <strong>{row.other}</strong>}</span> },
                ]}
              />
            </section>
          );
        })}
    </div>
  );
}
