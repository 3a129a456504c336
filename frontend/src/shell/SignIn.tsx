// The sign-in form: a page of its own at first, a dialog when a session ends.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Typography } from "antd";
import { useEffect, useState } from "react";
import { setUpRetrieve, signOnOffers, signUpRetrieve } from "@/api/generated/sdk.gen";
import type { OfferOut, SignInIn } from "@/api/generated/types.gen";
import { askPasskey, hasPasskeys } from "@/api/passkey";
import { reading } from "@/api/reading";
import { type Refusal, refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Choices } from "./Choices";
import { words } from "./words";

type Props = { busy: boolean; refusal: Refusal | null; onSubmit: (given: SignInIn) => void; onEntered: () => void };

/** Whether one may sign up here, and with what to try. */
export const OFFER = reading("signUpRetrieve", {}, (signal) => signUpRetrieve({ signal, throwOnError: true }));

/** Whether this installation waits to be set up. */
export const WAITS = reading("setUpRetrieve", {}, (signal) => setUpRetrieve({ signal, throwOnError: true }));

const CODES = ["provider_down", "sign_on_failed", "no_role", "forbidden"] as const;

/** Why a provider's people were led back here; a code of ours, never a text of the address. */
const ledBack = () => {
  const code = new URLSearchParams(location.search).get("sign-in");
  return code === null ? undefined : (CODES.find((each) => each === code) ?? "sign_on_failed");
};

/** Where to leave for a provider, and to end up here again. */
const leaveFor = (offer: OfferOut, hint: string) => {
  const query = new URLSearchParams(location.search);
  query.delete("sign-in");
  const next = location.pathname + (query.size > 0 ? `?${query}` : "");
  location.assign(`/api/v1/sign-on/${offer.id}?${new URLSearchParams({ next, hint })}`);
};

export function SignIn({ busy, refusal, onSubmit, onEntered }: Props) {
  const t = words.use();
  const [form] = Form.useForm<SignInIn>();
  const [back] = useState(ledBack);
  const quiet = { meta: { quiet: true, signIn: true } };
  const offers = useMutation({
    ...quiet,
    mutationFn: async (email: string) => (await signOnOffers({ body: { email }, throwOnError: true })).data.data,
  });
  const passkey = useMutation({ ...quiet, mutationFn: askPasskey, onSuccess: onEntered });
  const offer = useQuery({ ...OFFER, meta: { quiet: true, signIn: true }, retry: false, staleTime: Number.POSITIVE_INFINITY });
  // A machine that nobody has set up yet: there is nobody to sign in as.
  const waits = useQuery({ ...WAITS, meta: { quiet: true, signIn: true }, retry: false, staleTime: Number.POSITIVE_INFINITY });
  useEffect(() => {
    if (waits.data?.open === true) location.replace("/set-up");
  }, [waits.data]);
  const second = refusal?.code === "second_factor_needed";
  return (
    <main className="signin">
      <div className="signin-card">
        <img src="/assets/slipway.svg" alt="" width={44} height={44} />
        <Typography.Title level={1} className="signin-title">
          {t("signin.title")}
        </Typography.Title>
        <Typography.Paragraph type="secondary">{t("signin.lead")}</Typography.Paragraph>
        {back !== undefined && refusal === null && <Alert type="error" className="refused" title={t(`signin.back.${back}`)} />}
        <Form<SignInIn> form={form} layout="vertical" requiredMark={false} onFinish={onSubmit}>
          <Form.Item name="user" label={t("signin.user")} rules={[{ required: true }]}>
            <Input
              autoComplete="username webauthn"
              autoFocus
              size="large"
              onBlur={(event) => {
                if (event.target.value.includes("@")) offers.mutate(event.target.value);
                else offers.reset();
              }}
            />
          </Form.Item>
          {offers.data
            ?.filter((each) => each.kind !== "ldap")
            .map((each) => (
              <Form.Item key={each.id}>
                <Button block size="large" onClick={() => leaveFor(each, String(form.getFieldValue("user") ?? ""))}>
                  {t("signin.through", { name: each.name })}
                </Button>
              </Form.Item>
            ))}
          <Form.Item name="password" label={t("signin.password")} rules={[{ required: true }]}>
            <Input.Password autoComplete="current-password" size="large" visibilityToggle={false} />
          </Form.Item>
          {second && (
            <Form.Item name="passcode" label={t("signin.passcode")} extra={t("signin.passcode.help")} rules={[{ required: true }]}>
              <Input autoComplete="one-time-code" autoFocus size="large" />
            </Form.Item>
          )}
          {refusal !== null && !second && <Refused refusal={refusal} />}
          <Button type="primary" htmlType="submit" size="large" block loading={busy}>
            {t("signin.submit")}
          </Button>
        </Form>
        {hasPasskeys() && (
          <Button type="link" block className="signin-note" loading={passkey.isPending} onClick={() => passkey.mutate()}>
            {t("signin.passkey")}
          </Button>
        )}
        {passkey.error !== null && <Refused refusal={refusalOf(passkey.error)} />}
        {offer.data?.resets === true && (
          <Button type="link" block className="signin-note" href="/forgotten">
            {t("signin.forgotten")}
          </Button>
        )}
        {offer.data?.open === true && (
          <Button type="link" block className="signin-note" href="/sign-up">
            {t("signup")}
          </Button>
        )}
        <Typography.Paragraph type="secondary" className="signin-note">
          {t("signin.first")}
        </Typography.Paragraph>
        <Choices />
      </div>
    </main>
  );
}
