// Chooses a published version of a dataset: the dataset by name, then its version.
import { Select } from "antd";
import { words } from "./words";

type Choice = { value: string; label: string; note: string };
type Pick = {
  datasets: Choice[];
  versions: Choice[];
  dataset: string | undefined;
  loading: boolean;
  search: (text: string) => void;
  open: (dataset: string | undefined) => void;
};
type Props = { pick: Pick; value: string | undefined; onChange: (version: string | undefined) => void; label: string };

export function PickVersion({ pick, value, onChange, label }: Props) {
  const t = words.use();
  return (
    <div className="pick">
      <Select
        allowClear
        showSearch={{ filterOption: false, onSearch: pick.search }}
        loading={pick.loading}
        options={pick.datasets}
        value={pick.dataset ?? null}
        placeholder={t("dataset")}
        aria-label={`${label}: ${t("dataset")}`}
        onChange={(dataset: string | undefined) => {
          pick.open(dataset);
          onChange(undefined);
        }}
      />
      <Select
        allowClear
        disabled={pick.dataset === undefined}
        options={pick.versions.map((each) => ({ value: each.value, label: `${each.label} · ${t("rows", { n: each.note })}` }))}
        value={value ?? null}
        placeholder={t("version")}
        aria-label={`${label}: ${t("version")}`}
        notFoundContent={t("version.none")}
        onChange={(version: string | undefined) => onChange(version)}
      />
    </div>
  );
}
