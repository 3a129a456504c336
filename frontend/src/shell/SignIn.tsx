// The sign-in form: a page of its own at first, a dialog when a session ends.
import { Button, Form, Input, Typography } from "antd";
import type { SignInIn } from "@/api/generated/types.gen";
import type { Refusal } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Choices } from "./Choices";
import { words } from "./words";

type Props = { busy: boolean; refusal: Refusal | null; onSubmit: (given: SignInIn) => void };

export function SignIn({ busy, refusal, onSubmit }: Props) {
  const t = words.use();
  return (
    <main className="signin">
      <div className="signin-card">
        <img src="/assets/slipway.svg" alt="" width={44} height={44} />
        <Typography.Title level={1} className="signin-title">
          {t("signin.title")}
        </Typography.Title>
        <Typography.Paragraph type="secondary">{t("signin.lead")}</Typography.Paragraph>
        <Form<SignInIn> layout="vertical" requiredMark={false} onFinish={onSubmit}>
          <Form.Item name="user" label={t("signin.user")} rules={[{ required: true }]}>
            <Input autoComplete="username" autoFocus size="large" />
          </Form.Item>
          <Form.Item name="password" label={t("signin.password")} rules={[{ required: true }]}>
            <Input.Password autoComplete="current-password" size="large" visibilityToggle={false} />
          </Form.Item>
          {refusal !== null && <Refused refusal={refusal} />}
          <Button type="primary" htmlType="submit" size="large" block loading={busy}>
            {t("signin.submit")}
          </Button>
        </Form>
        <Typography.Paragraph type="secondary" className="signin-note">
          {t("signin.first")}
        </Typography.Paragraph>
        <Choices />
      </div>
    </main>
  );
}
