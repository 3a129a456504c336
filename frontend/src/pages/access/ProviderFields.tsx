// The form of an identity provider: what each kind asks for, whose people it answers for, and what they get here.
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, type FormInstance, Input, Select, Space, Switch } from "antd";
import { groupsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { ProviderIn, ProviderOut } from "@/api/generated/types.gen";
import { useMay } from "@/shell/session";
import { words as uiWords } from "@/ui/words";
import { words } from "./entryWords";
import { useRoles } from "./useRoles";

type Kind = ProviderIn["kind"];
export type Given = {
  kind: Kind;
  name: string;
  /** Fields of the kind; those left empty are not there. */
  settings?: Record<string, string | undefined>;
  secret?: string;
  domains?: string[];
  groups?: { theirs?: string; ours?: string }[];
  default_role?: string;
  enabled?: boolean;
};

/** What each kind asks for, and whether it must be there; as the platform checks it. */
const ASKED: Record<Kind, [name: string, required: boolean, example: string][]> = {
  oidc: [["issuer", true, "https://id.example.com"], ["client_id", true, ""], ["scopes", false, "openid email profile"], ["groups_claim", false, "groups"]],
  ldap: [["url", true, "ldaps://ldap.example.com"], ["base_dn", true, "dc=example,dc=com"], ["bind_dn", false, "cn=reader,dc=example,dc=com"], ["user_filter", false, "(mail={name})"], ["group_base", false, "ou=groups,dc=example,dc=com"]],
  saml: [["metadata_url", false, "https://id.example.com/metadata"], ["metadata", false, "<EntityDescriptor …>"], ["email_attribute", false, "mail"], ["name_attribute", false, "displayName"], ["groups_attribute", false, "groups"]],
};

const READY = ["reader", "operator", "owner"];

const full = (value: string | undefined) => value !== undefined && value !== "";

export const bodyOf = (given: Given) => ({
  name: given.name,
  settings: Object.fromEntries(Object.entries(given.settings ?? {}).filter(([, value]) => full(value))),
  ...(full(given.secret) && { secret: given.secret ?? "" }),
  domains: given.domains ?? [],
  groups: Object.fromEntries((given.groups ?? []).flatMap(({ theirs = "", ours = "" }) => (full(theirs) && full(ours) ? [[theirs, ours]] : []))),
  // The document leaves the empty role out of its list.
  default_role: (given.default_role ?? "") as NonNullable<ProviderIn["default_role"]>,
});

export const givenOf = (row: ProviderOut): Given => ({
  kind: row.kind,
  name: row.name,
  settings: row.settings as Record<string, string>,
  domains: row.domains,
  groups: Object.entries(row.groups).map(([theirs, ours]) => ({ theirs, ours })),
  default_role: row.default_role,
  enabled: row.enabled,
});

export function ProviderFields({ form, there }: { form: FormInstance<Given>; there?: ProviderOut }) {
  const t = words.use();
  const tui = uiWords.use();
  const roles = useRoles();
  const groups = useQuery({ ...groupsListOptions(), enabled: useMay()("organisation", "read"), staleTime: 15_000 });
  const kind = (Form.useWatch("kind", { form, preserve: true }) as Kind | undefined) ?? there?.kind ?? "oidc";
  return (
    <>
      {there === undefined && (
        <Form.Item name="kind" label={t("provider.kind")}>
          <Select options={(Object.keys(ASKED) as Kind[]).map((each) => ({ value: each, label: t(`provider.kind.${each}`) }))} />
        </Form.Item>
      )}
      {kind === "saml" && there === undefined && <Alert type="info" className="spaced" title={t("provider.after")} />}
      <Form.Item name="name" label={tui("name")} extra={t("provider.name.extra")} rules={[{ required: true, max: 63 }]}>
        <Input autoComplete="off" />
      </Form.Item>
      {ASKED[kind].map(([name, required, example]) => (
        <Form.Item key={`${kind}.${name}`} name={["settings", name]} label={t(`setting.${name}` as "setting.issuer")} rules={[{ required }]}>
          {name === "metadata" ? <Input.TextArea rows={4} spellCheck={false} placeholder={example} /> : <Input autoComplete="off" placeholder={example} />}
        </Form.Item>
      ))}
      {kind !== "saml" && (
        <Form.Item name="secret" label={t(`provider.secret.${kind}`)} extra={there?.has_secret === true ? t("provider.secret.kept") : t("provider.secret.extra")}>
          <Input.Password autoComplete="new-password" visibilityToggle={false} />
        </Form.Item>
      )}
      <Form.Item name="domains" label={t("provider.domains")} extra={t("provider.domains.extra")}>
        <Select mode="tags" open={false} suffix={null} tokenSeparators={[",", " "]} placeholder="example.com" />
      </Form.Item>
      <Form.Item name="default_role" label={t("provider.role")} extra={t("provider.role.extra")}>
        <Select options={[{ value: "", label: t("provider.role.none") }, ...roles.options.filter((each) => READY.includes(each.value))]} />
      </Form.Item>
      <Form.List name="groups">
        {(rows, { add, remove }) => (
          <Form.Item label={t("provider.groups")} extra={t("provider.groups.extra")}>
            {rows.map((row) => (
              <Space.Compact key={row.key} className="wide spaced">
                <Form.Item noStyle name={[row.name, "theirs"]}>
                  <Input autoComplete="off" aria-label={t("provider.group.theirs")} placeholder={t("provider.group.theirs")} />
                </Form.Item>
                <Form.Item noStyle name={[row.name, "ours"]}>
                  <Select aria-label={t("provider.group.ours")} placeholder={t("provider.group.ours")} options={(groups.data?.data ?? []).map((each) => ({ value: each.id, label: each.name }))} />
                </Form.Item>
                <Button onClick={() => remove(row.name)}>{tui("delete")}</Button>
              </Space.Compact>
            ))}
            <Button className={rows.length > 0 ? "spaced" : ""} onClick={() => add({ theirs: "" })}>
              {t("provider.group.add")}
            </Button>
          </Form.Item>
        )}
      </Form.List>
      {there !== undefined && (
        <Form.Item name="enabled" label={t("provider.on")} valuePropName="checked">
          <Switch />
        </Form.Item>
      )}
    </>
  );
}
