// Everything of the organisation taken away, and its end.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Card, Space } from "antd";
import {
  organisationDepartureOptions,
  organisationDepartureWithdrawMutation,
  organisationDepartureCreateMutation,
  organisationTakeoutsCreateMutation,
  organisationTakeoutsListOptions,
  organisationTakeoutsRetrieveOptions,
} from "@/api/generated/@tanstack/react-query.gen";
import type { TakeoutOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { bytes, When } from "@/ui/figures";
import { ListTable } from "@/ui/ListTable";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function Leaving() {
  return useMay()("organisation", "full") ? (
    <>
      <Takeouts />
      <End />
    </>
  ) : null;
}

function Takeouts() {
  const t = words.use();
  const tui = uiWords.use();
  const found = useQuery({
    ...organisationTakeoutsListOptions({ query: { limit: 5 } }),
    refetchInterval: (query) => (query.state.data?.data.some((row) => row.phase === "making") ? 2_000 : false),
  });
  const make = useMutation(organisationTakeoutsCreateMutation());
  return (
    <ListTable<TakeoutOut>
      label={t("takeouts")}
      rows={found.data?.data}
      rowKey={(row) => row.id}
      refusal={found.error && refusalOf(found.error)}
      empty={t("takeouts.empty")}
      filters={
        <Button loading={make.isPending} onClick={() => make.mutate({})}>
          {t("takeouts.make")}
        </Button>
      }
      columns={[
        { title: t("takeouts"), render: (_, row) => t(`takeout.${row.phase}`) },
        { title: tui("created"), render: (_, row) => <When at={row.created_at} /> },
        { title: t("takeout.files"), render: (_, row) => (row.phase === "making" || row.phase === "failed" ? row.reason : row.file_count) },
        { title: t("takeout.size"), render: (_, row) => bytes(row.size_bytes) },
        { title: t("takeout.expires"), render: (_, row) => <When at={row.expires_at} /> },
        { title: tui("actions"), render: (_, row) => row.phase === "ready" && <Fetch id={row.id} /> },
      ]}
    />
  );
}

function Fetch({ id }: { id: string }) {
  const t = words.use();
  const found = useQuery(organisationTakeoutsRetrieveOptions({ path: { takeout_id: id } }));
  return (
    <Button href={found.data?.download_url} disabled={!found.data?.download_url}>
      {t("takeout.fetch")}
    </Button>
  );
}

function End() {
  const t = words.use();
  const found = useQuery(organisationDepartureOptions());
  const ask = useMutation(organisationDepartureCreateMutation());
  const withdraw = useMutation(organisationDepartureWithdrawMutation());
  if (found.data === undefined) return null;
  const { organisation, days, phase, due_at, reason } = found.data;
  return (
    <Card title={t("end")}>
      {phase === "" ? (
        <Space orientation="vertical">
          {t("end.lead", { days })}
          <Danger name={organisation} label={t("end.ask")} breaks={t("end.breaks", { days })} busy={ask.isPending} onConfirm={() => ask.mutate({ body: { name: organisation } })} />
        </Space>
      ) : (
        <Alert
          type="warning"
          showIcon
          title={
            <>
              {t("end.waits")} <When at={due_at} />
            </>
          }
          description={reason}
          action={phase === "waiting" && <Sure label={t("end.undo")} what={t("end.undo.what")} breaks={t("end.undo.breaks")} busy={withdraw.isPending} onConfirm={() => withdraw.mutate({})} />}
        />
      )}
    </Card>
  );
}
