// Showing again who is there, before what cannot be undone; what was asked for is done when they did.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Modal, Typography } from "antd";
import { sessionFactorsRetrieve, sessionProofCreate } from "@/api/generated/sdk.gen";
import { askPasskey, hasPasskeys } from "@/api/passkey";
import { reading } from "@/api/reading";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

type Given = { password: string; passcode?: string };
const FACTORS = reading("sessionFactorsRetrieve", {}, (signal) => sessionFactorsRetrieve({ signal, throwOnError: true }));

export function Proof({ open, onClose }: { open: boolean; onClose: (shown: boolean) => void }) {
  const t = words.use();
  const quiet = { meta: { quiet: true, signIn: true, last: true }, onSuccess: () => onClose(true) };
  const proof = useMutation({ ...quiet, mutationFn: (body: Given) => sessionProofCreate({ body, throwOnError: true }) });
  const passkey = useMutation({ ...quiet, mutationFn: askPasskey });
  const own = useQuery({ ...FACTORS, enabled: open, staleTime: 60_000 });
  const providers = own.data?.providers ?? [];
  const byPassword = own.data === undefined || own.data.has_password || providers.some((each) => each.kind === "ldap");
  const refusal = proof.error === null ? null : refusalOf(proof.error);
  const second = refusal?.code === "second_factor_needed";
  return (
    <Modal open={open} zIndex={3000} footer={null} onCancel={() => onClose(false)} title={t("proof.title")} destroyOnHidden>
      <Typography.Paragraph type="secondary">{t("proof.lead")}</Typography.Paragraph>
      {byPassword && (
        <Form<Given> layout="vertical" requiredMark={false} onFinish={(given) => proof.mutate(given)}>
          <Form.Item name="password" label={t("signin.password")} rules={[{ required: true }]}>
            <Input.Password autoComplete="current-password" autoFocus visibilityToggle={false} />
          </Form.Item>
          {second && (
            <Form.Item name="passcode" label={t("signin.passcode")} rules={[{ required: true }]}>
              <Input autoComplete="one-time-code" autoFocus />
            </Form.Item>
          )}
          {refusal !== null && !second && <Refused refusal={refusal} />}
          <Button type="primary" htmlType="submit" block loading={proof.isPending}>
            {t("proof.submit")}
          </Button>
        </Form>
      )}
      {providers
        .filter((each) => each.kind !== "ldap")
        .map((each) => (
          <Button key={each.id} block className="spaced" onClick={() => location.assign(`/api/v1/sign-on/${each.id}?${new URLSearchParams({ anew: "true", next: location.pathname + location.search })}`)}>
            {t("signin.through", { name: each.name })}
          </Button>
        ))}
      {passkey.error !== null && <Refused refusal={refusalOf(passkey.error)} />}
      {hasPasskeys() && (
        <Button type="link" block loading={passkey.isPending} onClick={() => passkey.mutate()}>
          {t("signin.passkey")}
        </Button>
      )}
    </Modal>
  );
}
