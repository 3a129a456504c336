// A new key: what it may do, until when, from where, and as whom.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Radio, Select } from "antd";
import { accessModulesListOptions, keysCreateMutation, serviceAccountsListOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { KeyIn } from "@/api/generated/types.gen";
import { useMay, useSession } from "@/shell/session";
import { FormDialog } from "@/ui/FormDialog";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

const ROLES = ["reader", "operator", "owner"] as const;
const LEVELS = ["none", "read", "operate", "full"] as const;
const DAY = 86_400_000;
type Given = {
  name: string;
  by: "role" | "scopes";
  role?: KeyIn["role"];
  scopes?: NonNullable<KeyIn["scopes"]>;
  days: number;
  networks: string[];
  account?: number;
};

export function NewKey({ onMade }: { onMade: (secret: string) => void }) {
  const t = words.use();
  const tui = uiWords.use();
  const session = useSession();
  const may = useMay();
  const modules = useQuery({ ...accessModulesListOptions(), staleTime: 300_000 });
  const accounts = useQuery({ ...serviceAccountsListOptions(), staleTime: 15_000 });
  const make = useMutation({ ...keysCreateMutation(), meta: { quiet: true }, onSuccess: (made) => onMade(made.secret) });
  // A key can never do more than who makes it.
  const own = ROLES.findIndex((role) => role === session.role);
  const roles = own < 0 ? ROLES : ROLES.slice(0, own + 1);
  const known = (modules.data?.data ?? []).filter((each) => may(each.name, "read") || may(each.name, "operate"));
  const submit = ({ name, by, role, scopes, days, networks, account }: Given) =>
    make.mutateAsync({
      body: {
        name,
        ...(by === "role" ? { role: role ?? "operator" } : { scopes: Object.fromEntries(Object.entries(scopes ?? {}).filter(([, level]) => level !== "none")) }),
        networks,
        expires_at: days === 0 ? null : new Date(Date.now() + days * DAY).toISOString(),
        ...(account !== undefined && { service_account_id: account }),
      },
    });
  return (
    <FormDialog<Given>
      type="primary"
      width={640}
      label={t("key.new")}
      initial={{ by: "role", role: "operator", days: 90, networks: [] }}
      onSubmit={submit}
    >
      <Form.Item name="name" label={t("key.name")} rules={[{ required: true, max: 63 }]}>
        <Input autoComplete="off" />
      </Form.Item>
      <Form.Item name="by" label={t("key.may")}>
        <Radio.Group options={[{ value: "role", label: t("key.role") }, { value: "scopes", label: t("key.scopes") }]} />
      </Form.Item>
      <Form.Item noStyle dependencies={["by"]}>
        {({ getFieldValue }) =>
          getFieldValue("by") === "role" ? (
            <Form.Item name="role" label={t("key.role")}>
              <Select options={roles.map((role) => ({ value: role, label: t(`key.role.${role}`) }))} />
            </Form.Item>
          ) : (
            <div className="levels">
              {known.map((each) => (
                <Form.Item key={each.name} name={["scopes", each.name]} label={t(`module.${each.name}` as "module.datasets")} initialValue="none">
                  <Select options={LEVELS.filter((level) => may(each.name, level)).map((level) => ({ value: level, label: tui(`level.${level}`) }))} />
                </Form.Item>
              ))}
            </div>
          )
        }
      </Form.Item>
      <Form.Item name="days" label={t("key.expires")}>
        <Select options={[...[1, 7, 30, 90, 365].map((n) => ({ value: n, label: t("key.days", { n }) })), { value: 0, label: t("key.never") }]} />
      </Form.Item>
      <Form.Item name="networks" label={t("key.networks")} extra={t("key.networks.extra")}>
        <Select mode="tags" open={false} suffix={null} tokenSeparators={[",", " "]} placeholder={t("key.anywhere")} />
      </Form.Item>
      {(accounts.data?.data.length ?? 0) > 0 && (
        <Form.Item name="account" label={t("key.as")} extra={t("key.as.extra")}>
          <Select allowClear placeholder={session.user} options={(accounts.data?.data ?? []).map((each) => ({ value: each.id, label: each.name }))} />
        </Form.Item>
      )}
    </FormDialog>
  );
}
