// Where the link of an invite leads: makes an account, or uses the one whose password is given; then signs in.
import { useMutation } from "@tanstack/react-query";
import { Button, Form, Input, Result, Typography } from "antd";
import { useState } from "react";
import { invitesAcceptCreate, sessionCreate } from "@/api/generated/sdk.gen";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Choices } from "./Choices";
import { words } from "./words";

type Given = { user: string; password: string };

export function Invited() {
  const t = words.use();
  // After `#`: no server and no log on the way has seen it.
  const [token] = useState(() => location.hash.slice(1));
  const accept = useMutation({
    meta: { quiet: true, signIn: true },
    mutationFn: async (given: Given) => {
      await invitesAcceptCreate({ body: { token, ...given }, throwOnError: true });
      await sessionCreate({ body: given, throwOnError: true });
    },
    onSuccess: () => location.replace("/"),
  });
  const refusal = accept.error === null ? null : refusalOf(accept.error);
  // In the reader's language, where it is mended; the rules are the platform's own.
  const weak = refusal?.details.some((each) => each.field === "password") === true;
  if (token === "") return <Result status="warning" title={t("invited.none")} />;
  return (
    <main className="signin">
      <div className="signin-card">
        <img src="/assets/slipway.svg" alt="" width={44} height={44} />
        <Typography.Title level={1} className="signin-title">
          {t("invited")}
        </Typography.Title>
        <Typography.Paragraph type="secondary">{t("invited.lead")}</Typography.Paragraph>
        <Form<Given> layout="vertical" requiredMark={false} onFinish={(given) => accept.mutate(given)}>
          <Form.Item name="user" label={t("signin.user")} rules={[{ required: true }]}>
            <Input autoComplete="username" autoFocus size="large" />
          </Form.Item>
          <Form.Item
            name="password"
            label={t("signin.password")}
            rules={[{ required: true }]}
            extra={!weak && t("invited.rule")}
            {...(weak && { validateStatus: "error" as const, help: t("invited.weak") })}
          >
            <Input.Password autoComplete="new-password" size="large" visibilityToggle={false} />
          </Form.Item>
          {refusal !== null && !weak && <Refused refusal={refusal} />}
          <Button type="primary" htmlType="submit" size="large" block loading={accept.isPending}>
            {t("invited.submit")}
          </Button>
        </Form>
        <Choices />
      </div>
    </main>
  );
}
