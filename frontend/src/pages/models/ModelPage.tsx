// One model: its versions, newest first, and the aliases that point at them.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Select, Space, Tag } from "antd";
import { Link, useParams } from "react-router";
import { usePager } from "@/api/cursor";
import { changedBy, seen, upon } from "@/api/editing";
import {
  modelsAliasesDestroyMutation,
  modelsAliasesUpdateMutation,
  modelsRetrieveOptions,
  modelsVersionsListOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import { modelsRetrieve } from "@/api/generated/sdk.gen";
import type { ModelVersionOut } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { FormDialog } from "@/ui/FormDialog";
import { bytes, short, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Phase } from "@/ui/Phase";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export default function ModelPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const path = { model_id: useParams().id ?? "" };
  const model = useQuery(modelsRetrieveOptions({ path }));
  const versions = useQuery({
    ...modelsVersionsListOptions({ path, query: { limit: 20, cursor: pager.cursor, order: pager.order } }),
    refetchInterval: live,
  });
  const may = useMay();
  const drop = useMutation(modelsAliasesDestroyMutation());
  if (model.error) return <Refused refusal={refusalOf(model.error)} onRetry={() => void model.refetch()} />;
  return (
    <Page title={model.data?.name ?? "…"} above={[{ to: "/models", title: t("title") }]}>
      <ListTable<ModelVersionOut>
        label={t("versions")}
        rows={versions.data?.data}
        rowKey={(row) => row.id}
        refusal={versions.error && refusalOf(versions.error)}
        pager={pager}
        nextCursor={versions.data?.next_cursor}
        empty={t("versions.empty")}
        filters={may("models", "operate") && <SetAlias modelId={path.model_id} versions={versions.data?.data ?? []} />}
        columns={[
          { title: t("versions"), render: (_, row) => <Link to={`versions/${row.id}`}>{row.reference}</Link> },
          { title: tui("status"), render: (_, row) => <Phase phase={row.phase} reason={row.reason} /> },
          { title: t("kind"), render: (_, row) => t(`kind.${row.kind}`) },
          { title: t("parameters"), align: "end", render: (_, row) => short(row.parameters) },
          { title: tui("size"), align: "end", render: (_, row) => bytes(row.size_bytes) },
          {
            title: t("aliases"),
            render: (_, row) => (
              <Space size={4}>
                {row.aliases.map((alias) => (
                  <Tag
                    key={alias}
                    closable={{ "aria-label": t("alias.drop", { name: alias }) }}
                    onClose={(event) => (event.preventDefault(), drop.mutate({ path: { ...path, alias } }))}
                  >
                    {alias}
                  </Tag>
                ))}
              </Space>
            ),
          },
          { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
    </Page>
  );
}

type Named = { alias: string; version_id: string };

function SetAlias({ modelId, versions }: { modelId: string; versions: ModelVersionOut[] }) {
  const t = words.use();
  const path = { model_id: modelId };
  const set = useMutation({ ...modelsAliasesUpdateMutation(), meta: { quiet: true } });
  const there = versions.filter((each) => each.phase === "ready");
  return (
    <FormDialog<Named>
      label={t("alias.set")}
      disabled={there.length === 0}
      // Only the tag: what somebody else pointed elsewhere meanwhile is not pointed back unseen.
      load={async () => ({ thing: {}, tag: (await seen(modelsRetrieve({ path, throwOnError: true }))).tag })}
      changedBy={() => changedBy(modelId)}
      onSubmit={({ alias, version_id }, tag) => set.mutateAsync({ path: { ...path, alias }, body: { version_id }, headers: upon(tag) })}
    >
      <Form.Item name="alias" label={t("alias.name")} rules={[{ required: true }]}>
        <Input placeholder="production" autoComplete="off" />
      </Form.Item>
      <Form.Item name="version_id" label={t("alias.of")} rules={[{ required: true }]}>
        <Select popupMatchSelectWidth={false} options={there.map((each) => ({ value: each.id, label: each.reference }))} />
      </Form.Item>
    </FormDialog>
  );
}
