// Identity providers of the organisation: connected, tried out, changed, removed.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, App, Button, Space, Tag, Typography } from "antd";
import { listed } from "@/api/cursor";
import {
  identityProvidersCheckCreateMutation,
  identityProvidersCreateMutation,
  identityProvidersDestroyMutation,
  identityProvidersListOptions,
  identityProvidersPartialUpdateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import { identityProvidersRetrieve } from "@/api/generated/sdk.gen";
import type { ProviderOut } from "@/api/generated/types.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { words as uiWords } from "@/ui/words";
import { words } from "./entryWords";
import { ProveDomains } from "./ProveDomains";
import { Registered } from "./Registered";
import { bodyOf, type Given, givenOf, ProviderFields } from "./ProviderFields";

/** Where it is, whatever its kind calls that. */
const placeOf = ({ settings }: ProviderOut) => ["issuer", "url", "metadata_url"].map((name) => settings[name]).find((value) => typeof value === "string") ?? "";

const quiet = { meta: { quiet: true } };

export function Providers() {
  const t = words.use();
  const tui = uiWords.use();
  const { notification } = App.useApp();
  const decides = useMay()("organisation", "full");
  const found = useQuery(identityProvidersListOptions());
  const make = useMutation({ ...identityProvidersCreateMutation(), ...quiet });
  const change = useMutation({ ...identityProvidersPartialUpdateMutation(), ...quiet });
  const remove = useMutation(identityProvidersDestroyMutation());
  const check = useMutation({
    ...identityProvidersCheckCreateMutation(),
    onSuccess: ({ trouble }) =>
      trouble === "" ? notification.success({ title: t("provider.answers") }) : notification.error({ title: t("provider.trouble"), description: trouble, duration: 0 }),
  });
  const redirect = found.data?.data.find((each) => each.kind === "oidc")?.redirect_uri;
  return (
    <>
      {redirect !== undefined && (
        <Alert
          type="info"
          title={
            <>
              {t("provider.redirect")} <Typography.Text code copyable>{redirect}</Typography.Text>
            </>
          }
        />
      )}
      <ListTable<ProviderOut>
        label={t("providers")}
        rowKey={(row) => row.id}
        {...listed(found)}
        empty={t("providers.empty")}
        filters={
          decides && (
            <FormDialog<Given>
              type="primary"
              width={640}
              label={t("provider.new")}
              initial={{ kind: "oidc", domains: [], groups: [], default_role: "", settings: {} }}
              onSubmit={(given) => make.mutateAsync({ body: { kind: given.kind, ...bodyOf(given) } })}
            >
              {(form) => <ProviderFields form={form} />}
            </FormDialog>
          )
        }
        columns={[
          {
            title: tui("name"),
            render: (_, row) => (
              <Space>
                {row.name}
                <Tag>{t(`provider.kind.${row.kind}`)}</Tag>
                {!row.enabled && <Tag color="warning">{t("provider.off")}</Tag>}
              </Space>
            ),
          },
          {
            title: t("provider.domains"),
            render: (_, row) =>
              row.domains.map((each) => (
                <Tag key={each} color={row.unproved_domains.includes(each) ? "warning" : undefined}>
                  {each}
                  {row.unproved_domains.includes(each) && ` (${t("provider.domains.unproved")})`}
                </Tag>
              )),
          },
          {
            title: t("provider.where"),
            render: (_, row) =>
              row.kind === "saml" ? (
                <>
                  <div>{t("provider.entity")}</div>
                  <Registered text={row.entity_id} />
                  <div>{t("provider.answers_to")}</div>
                  <Registered text={row.redirect_uri} />
                </>
              ) : (
                <code className="clip">{placeOf(row)}</code>
              ),
          },
          {
            title: tui("actions"),
            render: (_, row) =>
              decides && (
                <Space wrap>
                  <Button loading={check.isPending} onClick={() => check.mutate({ path: { provider_id: row.id } })}>
                    {t("provider.check")}
                  </Button>
                  {row.unproved_domains.length > 0 && <ProveDomains id={row.id} />}
                  <FormDialog<Given>
                    width={640}
                    label={tui("edit")}
                    title={t("provider.edit", { name: row.name })}
                    send={tui("save")}
                    load={async () => {
                      const { thing, tag } = await seen(identityProvidersRetrieve({ path: { provider_id: row.id }, throwOnError: true }));
                      return { thing: givenOf(thing), tag };
                    }}
                    changedBy={() => changedBy(row.id)}
                    onSubmit={(given, tag) => change.mutateAsync({ path: { provider_id: row.id }, body: { ...bodyOf(given), enabled: given.enabled ?? true }, headers: upon(tag) })}
                  >
                    {(form) => <ProviderFields form={form} there={row} />}
                  </FormDialog>
                  <Danger name={row.name} breaks={t("provider.delete.breaks")} onConfirm={() => remove.mutate({ path: { provider_id: row.id } })} />
                </Space>
              ),
          },
        ]}
      />
    </>
  );
}
