// One's own account: password, second factors, and where one is signed in.
import { useMutation, useQuery } from "@tanstack/react-query";
import { App, Form, Input } from "antd";
import { ownPasswordChangeMutation, sessionAddressCreateMutation, sessionAddressRetrieveOptions, sessionFactorsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { useSession } from "@/shell/session";
import { OFFER } from "@/shell/SignIn";
import { Facts } from "@/ui/Facts";
import { FormDialog } from "@/ui/FormDialog";
import { Page } from "@/ui/Page";
import { Refused } from "@/ui/Refused";
import { Factors } from "./Factors";
import { Sessions } from "./Sessions";
import { useRoles } from "./useRoles";
import { words } from "./entryWords";

type Claimed = { email: string; password: string };
type Given = { password: string; new_password: string; again: string };

export default function AccountPage() {
  const t = words.use();
  const me = useSession();
  const roles = useRoles();
  const own = useQuery(sessionFactorsRetrieveOptions());
  const address = useQuery(sessionAddressRetrieveOptions());
  const offer = useQuery(OFFER);
  const { message } = App.useApp();
  const claim = useMutation({
    ...sessionAddressCreateMutation(),
    meta: { quiet: true, signIn: true },
    onSuccess: () => void message.success(t("address.sent")),
  });
  const change = useMutation({ ...ownPasswordChangeMutation(), meta: { quiet: true, signIn: true } });
  return (
    <Page
      title={t("account")}
      lead={t("account.lead")}
      actions={
        own.data?.has_password === true && (
          <>
          {offer.data?.resets === true && (
            <FormDialog<Claimed>
              label={t("address.prove")}
              send={t("address.send")}
              onSubmit={(body) => claim.mutateAsync({ body })}
            >
              {() => (
                <>
                  <Form.Item name="email" label={t("address.email")} extra={t("address.extra")} rules={[{ required: true, type: "email" }]}>
                    <Input type="email" autoComplete="email" />
                  </Form.Item>
                  <Form.Item name="password" label={t("password.now")} rules={[{ required: true }]}>
                    <Input.Password autoComplete="current-password" visibilityToggle={false} />
                  </Form.Item>
                </>
              )}
            </FormDialog>
          )}
          <FormDialog<Given>
            label={t("password.change")}
            send={t("password.change")}
            onSubmit={({ password, new_password }) => change.mutateAsync({ body: { password, new_password } })}
          >
            {(form) => (
              <>
                <input hidden readOnly autoComplete="username" value={me.user} />
                <Form.Item name="password" label={t("password.now")} rules={[{ required: true }]}>
                  <Input.Password autoComplete="current-password" visibilityToggle={false} />
                </Form.Item>
                <Form.Item name="new_password" label={t("password.new")} extra={t("password.extra")} rules={[{ required: true, min: 8 }]}>
                  <Input.Password autoComplete="new-password" visibilityToggle={false} />
                </Form.Item>
                <Form.Item
                  name="again"
                  label={t("password.again")}
                  dependencies={["new_password"]}
                  rules={[{ validator: (_, value) => (value === form.getFieldValue("new_password") ? Promise.resolve() : Promise.reject(new Error(t("password.differ")))) }]}
                >
                  <Input.Password autoComplete="new-password" visibilityToggle={false} />
                </Form.Item>
              </>
            )}
          </FormDialog>
          </>
        )
      }
    >
      <Facts
        label={t("account")}
        facts={[
          [t("account.user"), me.user],
          [t("account.role"), roles.nameOf(me.role)],
          [t("account.address"), address.data?.email ? address.data.email : t("account.address.none")],
          [t("account.by"), own.data === undefined ? "" : [...(own.data.has_password ? [t("account.password")] : []), ...own.data.providers.map((each) => each.name)].join(" · ")],
        ]}
      />
      {own.error && <Refused refusal={refusalOf(own.error)} onRetry={() => void own.refetch()} />}
      <Factors factors={own.data?.factors} codesLeft={own.data?.codes_left ?? 0} />
      <Sessions />
    </Page>
  );
}
