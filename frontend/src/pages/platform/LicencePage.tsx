// The edition, how it stands with its licence, and installing another one.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, App, Button, Input, Tag, Upload } from "antd";
import { useState } from "react";
import { licenceRetrieveOptions, licenceUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { dateTime, Hash } from "@/ui/figures";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

const COLOURS = { valid: "success", trial: "processing", grace: "warning", read_only: "error", not_needed: "default" } as const;

export default function LicencePage() {
  const t = words.use();
  const may = useMay();
  const found = useQuery(licenceRetrieveOptions());
  const licence = found.data;
  const most = (value: number) => (value === 0 ? t("unlimited") : value);
  return (
    <Page title={t("licence")} lead={t("licence.lead")}>
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      {licence?.clock_set_back === true && <Alert type="error" showIcon title={t("licence.clock")} />}
      {licence !== undefined && (
        <Facts
          label={t("licence")}
          facts={[
            [t("licence.edition"), t(`edition.${licence.edition}`)],
            [t("licence.state"), <Tag key="s" color={COLOURS[licence.state]}>{t(`state.${licence.state}`)}</Tag>],
            [t("licence.until"), licence.until === null ? "–" : dateTime(licence.until)],
            ...(licence.reason === "" || licence.state === "not_needed" ? [] : [[t("licence.reason"), licence.reason] as [string, string]]),
          ]}
        />
      )}
      {licence?.terms && (
        <Facts
          label={t("licence.terms")}
          facts={[
            [t("terms.customer"), licence.terms.customer],
            [t("terms.form"), licence.terms.form],
            [t("terms.seats"), most(licence.terms.seats)],
            [t("terms.gpus"), most(licence.terms.gpus)],
            [t("terms.nodes"), most(licence.terms.nodes)],
            [t("terms.features"), licence.terms.features.length === 0 ? "–" : licence.terms.features.map((each) => <Tag key={each}>{each}</Tag>)],
            [t("terms.starts"), dateTime(licence.terms.starts_at)],
            [t("terms.ends"), dateTime(licence.terms.ends_at)],
            [t("terms.id"), <Hash key="i" value={licence.terms.id} />],
          ]}
        />
      )}
      {licence !== undefined && Object.keys(licence.hardware).length > 0 && (
        <section className="card" aria-label={t("hardware")}>
          <h2>{t("hardware")}</h2>
          <p className="quiet">{t("hardware.lead")}</p>
          <Facts facts={Object.entries(licence.hardware).map(([part, hash]) => [part, <Hash key={part} value={hash} />])} />
        </section>
      )}
      {may("platform", "full") && <Install />}
    </Page>
  );
}

function Install() {
  const t = words.use();
  const { message } = App.useApp();
  const [file, setFile] = useState("");
  const install = useMutation({
    ...licenceUpdateMutation(),
    meta: { quiet: true },
    onSuccess: () => {
      setFile("");
      void message.success(t("install.done"));
    },
  });
  return (
    <section className="card stack" aria-label={t("install")}>
      <h2>{t("install")}</h2>
      <Upload
        accept=".licence,.txt,.json"
        showUploadList={false}
        beforeUpload={(chosen) => {
          void chosen.text().then(setFile);
          return false;
        }}
      >
        <Button>{t("install.choose")}</Button>
      </Upload>
      <Input.TextArea className="mono" rows={6} value={file} placeholder={t("install.paste")} aria-label={t("install.paste")} onChange={(event) => setFile(event.target.value)} />
      {install.error && <Refused refusal={refusalOf(install.error)} />}
      <div>
        <Button type="primary" disabled={file.trim() === ""} loading={install.isPending} onClick={() => install.mutate({ body: { file } })}>
          {t("install")}
        </Button>
      </div>
    </section>
  );
}
