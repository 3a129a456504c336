// Signing up by oneself, where the platform is open to it; the letter's link leads here too, with its token after `#`.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Result, Spin, Typography } from "antd";
import { type ReactNode, useState } from "react";
import { sessionCreate, signUpCreate, signUpVerifyCreate } from "@/api/generated/sdk.gen";
import type { OfferToAllOut, SignUpIn } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Choices } from "./Choices";
import { OFFER } from "./SignIn";
import { words } from "./words";

const quiet = { meta: { quiet: true, signIn: true } };

export function SignUp() {
  const t = words.use();
  const [token] = useState(() => location.hash.slice(1));
  const offer = useQuery({ ...OFFER, ...quiet, retry: false });
  if (offer.error !== null) return <Refused refusal={refusalOf(offer.error)} onRetry={() => void offer.refetch()} />;
  if (offer.data === undefined) return <Spin fullscreen />;
  if (!offer.data.open) return <Result status="info" title={t("signup.closed")} subTitle={t("signup.closed.lead")} />;
  return token === "" ? <Asking offer={offer.data} /> : <Verifying token={token} />;
}

function Card({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <main className="signin">
      <div className="signin-card">
        <img src="/assets/slipway.svg" alt="" width={44} height={44} />
        <Typography.Title level={1} className="signin-title">
          {title}
        </Typography.Title>
        <Typography.Paragraph type="secondary">{lead}</Typography.Paragraph>
        {children}
        <Choices />
      </div>
    </main>
  );
}

function Asking({ offer }: { offer: OfferToAllOut }) {
  const t = words.use();
  const ask = useMutation({
    ...quiet,
    mutationFn: async (body: SignUpIn) => {
      await signUpCreate({ body, throwOnError: true });
      return body.email;
    },
  });
  const refusal = ask.error === null ? null : refusalOf(ask.error);
  // In the reader's language, where it is mended; the rules are the platform's own.
  const weak = refusal?.details.some((each) => each.field === "password") === true;
  const credit = Number(offer.trial_credit);
  if (ask.data !== undefined)
    return <Result status="success" title={t("signup.sent")} subTitle={t("signup.sent.lead", { email: ask.data })} />;
  return (
    <Card title={t("signup")} lead={t("signup.lead")}>
      {credit > 0 && <Typography.Paragraph>{t("signup.trial", { credit: `${credit} ${offer.currency}` })}</Typography.Paragraph>}
      <Form<SignUpIn> layout="vertical" requiredMark={false} onFinish={(body) => ask.mutate(body)}>
        <Form.Item name="email" label={t("signup.email")} rules={[{ required: true, type: "email" }]}>
          <Input type="email" autoComplete="username" autoFocus size="large" />
        </Form.Item>
        <Form.Item
          name="organisation"
          label={t("signup.organisation")}
          rules={[{ required: true, max: 63, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, message: t("signup.organisation.rule") }]}
        >
          <Input autoComplete="organization" size="large" />
        </Form.Item>
        <Form.Item
          name="password"
          label={t("signin.password")}
          rules={[{ required: true }]}
          extra={!weak && t("signup.rule")}
          {...(weak && { validateStatus: "error" as const, help: t("signup.weak") })}
        >
          <Input.Password autoComplete="new-password" size="large" visibilityToggle={false} />
        </Form.Item>
        {refusal !== null && !weak && <Refused refusal={refusal} />}
        <Button type="primary" htmlType="submit" size="large" block loading={ask.isPending}>
          {t("signup.submit")}
        </Button>
      </Form>
    </Card>
  );
}

function Verifying({ token }: { token: string }) {
  const t = words.use();
  // Not by opening the link alone: programs that look into mail open links too.
  const verify = useMutation({
    ...quiet,
    mutationFn: async ({ password }: { password: string }) => {
      const { data } = await signUpVerifyCreate({ body: { token, password }, throwOnError: true });
      await sessionCreate({ body: { user: data.user, password }, throwOnError: true });
    },
    onSuccess: () => location.replace("/"),
  });
  return (
    <Card title={t("signup.verify")} lead={t("signup.verify.lead")}>
      <Form<{ password: string }> layout="vertical" requiredMark={false} onFinish={(given) => verify.mutate(given)}>
        <Form.Item name="password" label={t("signin.password")} rules={[{ required: true }]}>
          <Input.Password autoComplete="current-password" autoFocus size="large" visibilityToggle={false} />
        </Form.Item>
        {verify.error !== null && <Refused refusal={refusalOf(verify.error)} />}
        <Button type="primary" htmlType="submit" size="large" block loading={verify.isPending}>
          {t("signup.verify.submit")}
        </Button>
      </Form>
    </Card>
  );
}
