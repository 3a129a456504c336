// Base models to begin with, as cards: what each can do, and the ways to tune it, serve it and try it.
import { useQuery } from "@tanstack/react-query";
import { Input, Select, Tag } from "antd";
import { Link } from "react-router";
import { useFilter } from "@/api/cursor";
import { deploymentsListOptions, modelVersionsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { bytes, short, tokens } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { Blank } from "@/ui/runs/Blank";
import { LinkButton } from "@/ui/runs/LinkButton";
import "@/ui/runs/runs.css";
import { capabilitiesOf, newestBases } from "./plaza";
import { words } from "./words";

const KNOWN = ["chat", "completions", "embedding", "tools", "system"] as const;

export default function PlazaPage() {
  const t = words.use();
  const [search, setSearch] = useFilter("search");
  const [able, setAble] = useFilter("able");
  const found = useQuery(modelVersionsListOptions({ query: { phase: "ready", limit: 500 } }));
  const deployments = useQuery(deploymentsListOptions({ query: { limit: 200 } }));
  const all = newestBases(found.data?.data ?? []);
  const abilities = [...new Set(all.flatMap(capabilitiesOf))].sort();
  const shown = all.filter((each) => (search === undefined || each.model.toLowerCase().includes(search.toLowerCase())) && (able === undefined || capabilitiesOf(each).includes(able)));
  const spoken = (ability: string) => ((KNOWN as readonly string[]).includes(ability) ? t(`able.${ability as (typeof KNOWN)[number]}`) : ability);
  return (
    <Page title={t("plaza")} lead={t("plaza.lead")}>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      <div className="filters">
        <Input.Search allowClear defaultValue={search} onSearch={setSearch} placeholder={t("search")} aria-label={t("search")} />
        <Select allowClear className="choice" placeholder={t("able")} aria-label={t("able")} value={able ?? null} options={abilities.map((value) => ({ value, label: spoken(value) }))} onChange={setAble} />
      </div>
      {found.data !== undefined && shown.length === 0 && (
        <Blank title={t(all.length === 0 ? "plaza.empty" : "empty.search")} text={t("plaza.empty.why")} action={<LinkButton to="/models">{t("plaza.import")}</LinkButton>} />
      )}
      <div className="plaza">
        {shown.map((each) => (
          <Model key={each.id} version={each} spoken={spoken} live={(deployments.data?.data ?? []).filter((one) => one.version_id === each.id && one.serving !== null).map((one) => one.name)} />
        ))}
      </div>
    </Page>
  );
}

function Model({ version, spoken, live }: { version: ModelVersionOut; spoken: (ability: string) => string; live: string[] }) {
  const t = words.use();
  const may = useMay();
  const able = capabilitiesOf(version);
  const facts: [string, string][] = [
    [t("parameters"), short(version.parameters)],
    [t("context"), tokens(version.context_length)],
    [t("size"), bytes(version.size_bytes)],
    [t("architecture"), version.architecture || "–"],
    [t("licence"), version.licence || "–"],
  ];
  return (
    <article className="card plaza-card" aria-label={version.model}>
      <h2>
        <Link to={`/models/${version.model_id}/versions/${version.id}`}>{version.reference}</Link>
      </h2>
      <div>
        {able.map((each) => (
          <Tag key={each}>{spoken(each)}</Tag>
        ))}
      </div>
      <dl className="plaza-facts number">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p className="quiet">{live.length === 0 ? t("lineage.nowhere") : t("plaza.live", { names: live.join(", ") })}</p>
      <div className="verbs">
        {able.includes("chat") && may("training", "operate") && (
          <LinkButton type="primary" to={`/training/new?base=${version.id}`}>
            {t("plaza.tune")}
          </LinkButton>
        )}
        {may("deployments", "operate") && <LinkButton to={`/deployments/new?model=${version.id}`}>{t("plaza.deploy")}</LinkButton>}
        {live[0] !== undefined && able.includes("chat") && <LinkButton to={`/playground?models=${encodeURIComponent(live[0])}`}>{t("plaza.try")}</LinkButton>}
      </div>
    </article>
  );
}
