// External models: another server's models behind names of this project, their credentials never shown again.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, InputNumber, Tag, Tooltip } from "antd";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import { changedBy, seen, upon } from "@/api/editing";
import {
  externalsCheckCreateMutation,
  externalsCreateMutation,
  externalsDestroyMutation,
  externalsListOptions,
  externalsPartialUpdateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import { externalsRetrieve } from "@/api/generated/sdk.gen";
import type { ExternalInWritable, ExternalOut, PatchedExternalChangeWritable } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Blank } from "@/ui/runs/Blank";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

function Fields({ fresh }: { fresh: boolean }) {
  const t = words.use();
  return (
    <>
      {fresh && (
        <Form.Item name="name" label={t("external.name")} extra={t("external.name.why")} rules={[{ required: true }]}>
          <Input maxLength={63} autoComplete="off" />
        </Form.Item>
      )}
      <Form.Item name="url" label={t("external.url")} extra={t("external.url.why")} rules={[{ required: true }]}>
        <Input placeholder="https://api.example.com/v1" maxLength={1024} />
      </Form.Item>
      <Form.Item name="model" label={t("external.model")} extra={t("external.model.why")}>
        <Input maxLength={256} />
      </Form.Item>
      <Form.Item name="credential" label={t("external.credential")} extra={t(fresh ? "external.credential.why" : "external.credential.keep")}>
        <Input.Password autoComplete="new-password" maxLength={4096} visibilityToggle={false} />
      </Form.Item>
      <Form.Item name="timeout_seconds" label={t("external.timeout")} rules={[{ required: true }]}>
        <InputNumber min={1} max={600} precision={0} className="wide" />
      </Form.Item>
    </>
  );
}

export function Externals() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const owns = may("deployments", "full");
  const pager = usePager(BY_NAME);
  const found = useQuery(externalsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order } }));
  const create = useMutation({ ...externalsCreateMutation(), meta: { quiet: true } });
  const fresh = owns && (
    <FormDialog<ExternalInWritable> type="primary" label={t("external.new")} initial={{ timeout_seconds: 120 }} onSubmit={(body) => create.mutateAsync({ body })}>
      <Fields fresh />
    </FormDialog>
  );
  return (
    <ListTable<ExternalOut>
      label={t("externals")}
      rowKey={(row) => row.id}
      {...listed(found, pager)}
      filters={fresh}
      empty={<Blank title={t("externals.empty")} text={t("externals.empty.why")} />}
      columns={[
        { title: tui("name"), key: "name", sorter: true, dataIndex: "name" },
        { title: t("external.url"), render: (_, row) => <span className="mono">{row.url}</span> },
        { title: t("external.model"), render: (_, row) => row.model || row.name },
        { title: t("external.credential"), render: (_, row) => <span className="mono">{row.credential_hint || "–"}</span> },
        { title: tui("status"), render: (_, row) => <State external={row} /> },
        { title: tui("actions"), render: (_, row) => <Verbs external={row} owns={owns} asks={may("inference", "operate")} /> },
      ]}
    />
  );
}

function State({ external }: { external: ExternalOut }) {
  const t = words.use();
  if (external.checked_at === null) return <Tag>{t("external.unchecked")}</Tag>;
  return (
    <>
      <Tooltip title={external.trouble}>
        <span tabIndex={external.trouble === "" ? -1 : 0}>
          <Tag color={external.trouble === "" ? "success" : "error"}>{t(external.trouble === "" ? "external.good" : "external.bad")}</Tag>
        </span>
      </Tooltip>
      <When at={external.checked_at} />
    </>
  );
}

function Verbs({ external, owns, asks }: { external: ExternalOut; owns: boolean; asks: boolean }) {
  const t = words.use();
  const tui = uiWords.use();
  const path = { external_id: external.id };
  const check = useMutation(externalsCheckCreateMutation());
  const change = useMutation({ ...externalsPartialUpdateMutation(), meta: { quiet: true } });
  const remove = useMutation(externalsDestroyMutation());
  // An empty field keeps the credential that is there.
  const given = ({ credential, ...rest }: PatchedExternalChangeWritable) => (credential === undefined || credential === "" ? rest : { ...rest, credential });
  return (
    <span className="verbs">
      {asks && (
        <Button loading={check.isPending} onClick={() => check.mutate({ path })}>
          {t("external.check")}
        </Button>
      )}
      {owns && (
        <FormDialog<PatchedExternalChangeWritable>
          label={tui("edit")}
          title={external.name}
          send={tui("save")}
          load={async () => {
            const { thing, tag } = await seen(externalsRetrieve({ path, throwOnError: true }));
            return { thing: { url: thing.url, model: thing.model, timeout_seconds: thing.timeout_seconds }, tag };
          }}
          changedBy={() => changedBy(external.id)}
          onSubmit={(body, tag) => change.mutateAsync({ path, body: given(body), headers: upon(tag) })}
        >
          <Fields fresh={false} />
        </FormDialog>
      )}
      {owns && <Danger name={external.name} breaks={t("external.delete.breaks")} busy={remove.isPending} onConfirm={() => remove.mutate({ path })} />}
    </span>
  );
}
