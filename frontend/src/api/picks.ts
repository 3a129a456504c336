// What forms choose from: model versions that are ready, and published versions of datasets.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import {
  datasetsListOptions,
  datasetsVersionsListOptions,
  datasetVersionsRetrieveOptions,
  modelVersionsListOptions,
} from "./generated/@tanstack/react-query.gen";

export type Choice = { value: string; label: string; note: string; /** Of a model: the dataset version that taught it. */ taughtBy?: string | null };

/** Model versions that can be trained, judged or served; the newest 500. */
export function useModelVersions(): { choices: Choice[]; loading: boolean } {
  const found = useQuery({ ...modelVersionsListOptions({ query: { phase: "ready", limit: 500 } }), staleTime: 15_000 });
  return {
    loading: found.isPending,
    choices: (found.data?.data ?? []).map((each) => ({
      value: each.id,
      label: each.reference,
      note: [each.kind, ...each.aliases].join(" · "),
      taughtBy: each.dataset_version_id,
    })),
  };
}

export type DatasetPick = {
  datasets: Choice[];
  versions: Choice[];
  dataset: string | undefined;
  loading: boolean;
  search: (text: string) => void;
  open: (dataset: string | undefined) => void;
};

/** Two steps to a published version: a dataset by name, then one of its versions. `chosen` is a version's id. */
export function useDatasetPick(chosen: string | undefined): DatasetPick {
  const [text, search] = useState("");
  const [opened, open] = useState<string>();
  const datasets = useQuery({ ...datasetsListOptions({ query: { limit: 50, ...(text !== "" && { search: text }) } }), staleTime: 15_000 });
  const known = useQuery({
    ...datasetVersionsRetrieveOptions({ path: { version_id: chosen ?? "" } }),
    enabled: chosen !== undefined,
    staleTime: 60_000,
  });
  const dataset = opened ?? known.data?.dataset_id;
  const versions = useQuery({
    ...datasetsVersionsListOptions({ path: { dataset_id: dataset ?? "" }, query: { limit: 100 } }),
    enabled: dataset !== undefined,
    staleTime: 5_000,
  });
  const listed = (datasets.data?.data ?? []).map((each) => ({ value: each.id, label: each.name, note: each.description }));
  const own = known.data;
  if (own !== undefined && !listed.some((each) => each.value === own.dataset_id)) {
    listed.push({ value: own.dataset_id, label: own.dataset, note: "" });
  }
  return {
    datasets: listed,
    versions: (versions.data?.data ?? [])
      .filter((each) => each.phase === "published")
      .map((each) => ({ value: each.id, label: `${each.dataset}@${each.number}`, note: String(each.rows) })),
    dataset,
    loading: datasets.isPending,
    search,
    open,
  };
}
