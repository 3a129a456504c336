// A forgotten password and a proved address: asking for the letter, and the pages its links lead to.
import { useMutation } from "@tanstack/react-query";
import { Button, Form, Input, Result, Typography } from "antd";
import { type ReactNode, useState } from "react";
import { sessionAddressProveCreate, sessionForgottenCreate, sessionNewPasswordCreate } from "@/api/generated/sdk.gen";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Choices } from "./Choices";
import { words } from "./letterWords";

const quiet = { meta: { quiet: true, signIn: true } };
/** After `#`: no server and no log on the way has seen it. */
const useToken = () => useState(() => location.hash.slice(1))[0];

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

function Done({ title, lead }: { title: string; lead?: string }) {
  const t = words.use();
  return (
    <Result
      status="success"
      title={title}
      subTitle={lead}
      extra={
        <Button type="primary" href="/">
          {t("signin")}
        </Button>
      }
    />
  );
}

export function Forgotten() {
  const t = words.use();
  const ask = useMutation({
    ...quiet,
    mutationFn: async (body: { email: string }) => {
      await sessionForgottenCreate({ body, throwOnError: true });
      return body.email;
    },
  });
  if (ask.data !== undefined) return <Result status="success" title={t("sent")} subTitle={t("sent.lead", { email: ask.data })} />;
  return (
    <Card title={t("forgotten")} lead={t("forgotten.lead")}>
      <Form<{ email: string }> layout="vertical" requiredMark={false} onFinish={(body) => ask.mutate(body)}>
        <Form.Item name="email" label={t("email")} rules={[{ required: true, type: "email" }]}>
          <Input type="email" autoComplete="email" autoFocus size="large" />
        </Form.Item>
        {ask.error !== null && <Refused refusal={refusalOf(ask.error)} />}
        <Button type="primary" htmlType="submit" size="large" block loading={ask.isPending}>
          {t("forgotten.submit")}
        </Button>
      </Form>
    </Card>
  );
}

export function NewPassword() {
  const t = words.use();
  const token = useToken();
  const choose = useMutation({
    ...quiet,
    mutationFn: (given: { password: string }) => sessionNewPasswordCreate({ body: { token, ...given }, throwOnError: true }),
  });
  if (token === "") return <Result status="warning" title={t("none")} />;
  if (choose.isSuccess) return <Done title={t("new.done")} lead={t("new.done.lead")} />;
  const refusal = choose.error === null ? null : refusalOf(choose.error);
  const weak = refusal?.details.some((each) => each.field === "password") === true;
  return (
    <Card title={t("new")} lead={t("new.lead")}>
      <Form<{ password: string }> layout="vertical" requiredMark={false} onFinish={(given) => choose.mutate(given)}>
        <Form.Item
          name="password"
          label={t("password")}
          rules={[{ required: true }]}
          extra={!weak && t("rule")}
          {...(weak && { validateStatus: "error" as const, help: t("rule") })}
        >
          <Input.Password autoComplete="new-password" autoFocus size="large" visibilityToggle={false} />
        </Form.Item>
        {refusal !== null && !weak && <Refused refusal={refusal} />}
        <Button type="primary" htmlType="submit" size="large" block loading={choose.isPending}>
          {t("new.submit")}
        </Button>
      </Form>
    </Card>
  );
}

export function ProveAddress() {
  const t = words.use();
  const token = useToken();
  // Not by opening the link alone: programs that look into mail open links too.
  const prove = useMutation({
    ...quiet,
    mutationFn: async () => (await sessionAddressProveCreate({ body: { token }, throwOnError: true })).data.email,
  });
  if (token === "") return <Result status="warning" title={t("none")} />;
  if (prove.data !== undefined) return <Done title={t("address.done")} lead={prove.data} />;
  return (
    <Card title={t("address")} lead={t("address.lead")}>
      {prove.error !== null && <Refused refusal={refusalOf(prove.error)} />}
      <Button type="primary" size="large" block loading={prove.isPending} onClick={() => prove.mutate()}>
        {t("address.submit")}
      </Button>
    </Card>
  );
}
