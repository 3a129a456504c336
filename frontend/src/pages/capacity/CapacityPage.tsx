// Which machines there are, what of them is a project's own, and what is in use now.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Form, Input, InputNumber, Space } from "antd";
import { capacityPoolsCreateMutation, capacityPoolsDestroyMutation, capacityPoolsUpdateMutation, capacityRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { capacityPoolsRetrieve } from "@/api/generated/sdk.gen";
import type { AmountsOut, OwnOut } from "@/api/generated/types.gen";
import { usePager } from "@/api/cursor";
import { changedBy, seen, upon } from "@/api/editing";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { count } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { AMOUNTS } from "./amounts";
import { fromText, toText } from "./labels";
import { Shares } from "./Shares";
import { words } from "./words";

/** All pools come at once, in the order they were made; by name where the address says so. */
const ORDERS = ["name", "-name"] as const;
const inOrder = (pools: OwnOut[], order: (typeof ORDERS)[number] | undefined) =>
  order === undefined ? pools : [...pools].sort((one, two) => (order === "name" ? 1 : -1) * one.pool.name.localeCompare(two.pool.name));

type PoolForm = AmountsOut & { name: string; labels: string };

function Amounts({ of }: { of: AmountsOut }) {
  const t = words.use();
  const told = AMOUNTS.filter((name) => of[name] > 0);
  return <>{told.length === 0 ? "–" : told.map((name) => `${t(name)} ${count(of[name])}`).join(" · ")}</>;
}

function PoolFields({ named }: { named: boolean }) {
  const t = words.use();
  return (
    <>
      {named && (
        <Form.Item name="name" label={t("pool.name")} rules={[{ required: true, max: 40 }]}>
          <Input autoComplete="off" />
        </Form.Item>
      )}
      <Form.Item name="labels" label={t("pool.labels")} extra={t("pool.labels.extra")}>
        <Input.TextArea rows={2} />
      </Form.Item>
      {AMOUNTS.map((name) => (
        <Form.Item key={name} name={name} label={t(name)} rules={[{ required: true }]}>
          <InputNumber<number> min={0} max={1e7} precision={0} className="wide" />
        </Form.Item>
      ))}
    </>
  );
}

export default function CapacityPage() {
  const t = words.use();
  const tui = uiWords.use();
  const pager = usePager(ORDERS);
  const may = useMay();
  const found = useQuery({ ...capacityRetrieveOptions(), refetchInterval: 15_000 });
  const make = useMutation({ ...capacityPoolsCreateMutation(), meta: { quiet: true } });
  const change = useMutation({ ...capacityPoolsUpdateMutation(), meta: { quiet: true } });
  const remove = useMutation(capacityPoolsDestroyMutation());
  const decides = may("platform", "operate") && found.data?.queues === true;
  const asked = ({ labels, ...rest }: Omit<PoolForm, "name">) => ({ ...rest, node_labels: fromText(labels) });
  return (
    <Page
      title={t("capacity")}
      lead={t("capacity.lead")}
      actions={
        decides && (
          <FormDialog<PoolForm> type="primary" label={t("pool.new")} initial={{ gpus: 0, cpus: 0, memory_gib: 0, labels: "" }} onSubmit={({ name, ...rest }) => make.mutateAsync({ body: { name, ...asked(rest) } })}>
            <PoolFields named />
          </FormDialog>
        )
      }
    >
      {found.data && found.data.behind.length > 0 && (
        <Alert
          type="warning"
          showIcon
          title={t("capacity.behind")}
          description={found.data.behind.map((what) => (
            <div key={what}>{what}</div>
          ))}
        />
      )}
      {found.data?.machine && (
        <>
          <Alert type="info" showIcon title={t("capacity.machine")} />
          <Facts label={t("total")} facts={AMOUNTS.map((name) => [t(name), count(found.data.machine?.[name] ?? 0)])} />
        </>
      )}
      {found.data?.queues === true && (
        <Facts
          facts={[
            [t("running"), count(found.data.running)],
            [t("waiting"), count(found.data.waiting)],
          ]}
        />
      )}
      {found.data?.machine === null && (
        <ListTable<OwnOut>
          label={t("pool")}
          rows={inOrder(found.data.pools, pager.order)}
          pager={pager}
          rowKey={(row) => row.pool.id}
          empty={t("capacity.none")}
          columns={[
            { title: t("pool"), key: "name", sorter: true, render: (_, row) => row.pool.name },
            { title: t("pool.labels"), render: (_, row) => <span className="mono">{toText(row.pool.node_labels) || t("pool.labels.any")}</span> },
            { title: t("total"), render: (_, row) => <Amounts of={row.pool} /> },
            { title: t("left"), render: (_, row) => <Amounts of={row.pool.left} /> },
            { title: t("own"), render: (_, row) => <Amounts of={row} /> },
            { title: t("used"), render: (_, row) => <Amounts of={row.use.used} /> },
            { title: t("borrowed"), render: (_, row) => <Amounts of={row.use.borrowed} /> },
            {
              title: tui("actions"),
              render: (_, row) =>
                decides && (
                  <Space>
                    <FormDialog<PoolForm>
                      label={tui("edit")}
                      title={t("pool.edit", { name: row.pool.name })}
                      send={tui("save")}
                      load={async () => {
                        const { thing, tag } = await seen(capacityPoolsRetrieve({ path: { pool_id: row.pool.id }, throwOnError: true }));
                        return { thing: { ...thing, labels: toText(thing.node_labels) }, tag };
                      }}
                      changedBy={() => changedBy(row.pool.id)}
                      onSubmit={(given, tag) => change.mutateAsync({ path: { pool_id: row.pool.id }, body: asked(given), headers: upon(tag) })}
                    >
                      <PoolFields named={false} />
                    </FormDialog>
                    <Sure danger label={t("pool.remove")} what={row.pool.name} breaks={t("pool.remove.breaks")} onConfirm={() => remove.mutate({ path: { pool_id: row.pool.id } })} />
                  </Space>
                ),
            },
          ]}
          {...(found.error && { refusal: refusalOf(found.error) })}
          onRetry={() => void found.refetch()}
        />
      )}
      {may("platform", "read") && found.data?.pools.map((row) => <Shares key={row.pool.id} pool={row.pool} decides={decides} />)}
    </Page>
  );
}
