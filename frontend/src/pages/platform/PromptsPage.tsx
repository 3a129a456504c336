// Kept prompts: whether and how this project keeps them, and what was kept; every look at one is audited.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Drawer, Input, Space, Tag } from "antd";
import { listed, useFilter, usePager } from "@/api/cursor";
import { promptLogDestroyMutation, promptLogListOptions, promptLogPolicyRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { promptLogRetrieve } from "@/api/generated/sdk.gen";
import type { LoggedPromptOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { Hash, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { LinkButton } from "@/ui/runs/LinkButton";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { PromptPolicy } from "./PromptPolicy";
import { words } from "./toldWords";

export default function PromptsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager();
  const decides = useMay()("inference", "full");
  const [model, setModel] = useFilter("model");
  const [opened, setOpened] = useFilter("prompt");
  const policy = useQuery(promptLogPolicyRetrieveOptions());
  const none = policy.data?.kept === false;
  const found = useQuery(promptLogListOptions({ query: { limit: 30, cursor: pager.cursor, order: pager.order, ...(model !== undefined && { model }) } }));
  const remove = useMutation(promptLogDestroyMutation());
  return (
    <Page title={t("prompts")} lead={t("prompts.lead")} actions={decides && policy.data !== undefined && <PromptPolicy policy={policy.data} />}>
      {none && <Alert type="info" showIcon title={t("policy.none")} />}
      {policy.error !== null && <Refused refusal={refusalOf(policy.error)} onRetry={() => void policy.refetch()} />}
      {policy.data?.kept === true && (
        <Facts
          label={t("policy")}
          facts={[
            [t("policy.days"), t("days", { n: policy.data.days ?? 0 })],
            [t("policy.masks"), policy.data.masks.length === 0 ? tui("none") : policy.data.masks.map((each) => <Tag key={each}>{t(`mask.${each}` as "mask.email")}</Tag>)],
            [t("policy.expressions"), policy.data.expressions.length === 0 ? tui("none") : policy.data.expressions.map((each) => <code key={each} className="clip">{each}</code>)],
            [t("policy.by"), policy.data.made_by],
            [t("policy.since"), <When key="at" at={policy.data.created_at} />],
          ]}
        />
      )}
      <ListTable<LoggedPromptOut>
        label={t("prompts")}
        rowKey={(row) => row.id}
        {...listed(found, pager)}
        empty={none ? t("prompts.empty.none") : t("prompts.empty")}
        filters={<Input.Search allowClear defaultValue={model ?? ""} placeholder={t("prompt.model")} aria-label={t("prompt.model")} onSearch={(text) => setModel(text.trim() || undefined)} />}
        columns={[
          { title: t("prompt.at"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
          { title: t("prompt.model"), dataIndex: "model" },
          { title: t("prompt.request"), render: (_, row) => <Hash value={row.request_id} length={20} /> },
          { title: t("prompt.until"), render: (_, row) => <When at={row.expires_at} /> },
          {
            title: tui("actions"),
            render: (_, row) => (
              <Space wrap>
                <Button onClick={() => setOpened(row.id)}>{t("prompt.open")}</Button>
                <LinkButton to={`/requests/${row.request_id}`}>{t("prompt.lineage")}</LinkButton>
                <Sure danger label={tui("delete")} what={t("prompt.delete.what")} breaks={t("prompt.delete.breaks")} onConfirm={() => remove.mutate({ query: { id: row.id } })} />
              </Space>
            ),
          },
        ]}
      />
      <Drawer open={opened !== undefined} size="large" title={t("prompt")} onClose={() => setOpened(undefined)} destroyOnHidden>
        {opened !== undefined && <Prompt id={opened} />}
      </Drawer>
    </Page>
  );
}

function Prompt({ id }: { id: string }) {
  const t = words.use();
  // Each look is audited: it is not read again because something else changed.
  const found = useQuery({
    queryKey: ["prompt", id],
    queryFn: async () => (await promptLogRetrieve({ path: { prompt_id: id }, throwOnError: true })).data,
    staleTime: Infinity,
  });
  if (found.error) return <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />;
  if (found.data === undefined) return null;
  return (
    <div className="stack">
      <Alert type="info" title={t("prompt.audited")} />
      <h2>{t("prompt.asked")}</h2>
      <pre className="code mono" tabIndex={0}>{JSON.stringify(found.data.request, null, 2)}</pre>
      <h2>{t("prompt.answered")}</h2>
      <pre className="code mono" tabIndex={0}>{JSON.stringify(found.data.answer, null, 2)}</pre>
    </div>
  );
}
