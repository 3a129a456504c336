// One model: its versions, newest first, and the aliases that point at them.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Select, Space, Tag } from "antd";
import { Link, useParams } from "react-router";
import { usePager } from "@/api/cursor";
import {
  modelsAliasesDestroyMutation,
  modelsAliasesUpdateMutation,
  modelsRetrieveOptions,
  modelsVersionsListOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import type { ModelVersionOut } from "@/api/generated/types.gen";
import { live } from "@/api/live";
import { refusalOf } from "@/api/refusal";
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
    ...modelsVersionsListOptions({ path, query: { limit: 20, cursor: pager.cursor } }),
    refetchInterval: live,
  });
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
          { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        ]}
      />
      <SetAlias modelId={path.model_id} versions={versions.data?.data ?? []} />
    </Page>
  );
}

function SetAlias({ modelId, versions }: { modelId: string; versions: ModelVersionOut[] }) {
  const t = words.use();
  const [form] = Form.useForm<{ alias: string; version_id: string }>();
  const set = useMutation({ ...modelsAliasesUpdateMutation(), onSuccess: () => form.resetFields() });
  return (
    <Form
      form={form}
      layout="inline"
      onFinish={({ alias, version_id }) => set.mutate({ path: { model_id: modelId, alias }, body: { version_id } })}
    >
      <Form.Item name="alias" label={t("alias.name")} rules={[{ required: true }]}>
        <Input placeholder="production" autoComplete="off" />
      </Form.Item>
      <Form.Item name="version_id" label={t("alias.of")} rules={[{ required: true }]}>
        <Select
          popupMatchSelectWidth={false}
          options={versions.filter((each) => each.phase === "ready").map((each) => ({ value: each.id, label: each.reference }))}
        />
      </Form.Item>
      <Button htmlType="submit" loading={set.isPending}>
        {t("alias.set")}
      </Button>
    </Form>
  );
}
