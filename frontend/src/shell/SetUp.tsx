// The first boot of an appliance: the code that stands on the machine, the administrator, the licence; then it signs in.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Result, Space, Spin, Steps, Typography, Upload } from "antd";
import { useState } from "react";
import { sessionCreate, setUpCreate } from "@/api/generated/sdk.gen";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Choices } from "./Choices";
import { WAITS } from "./SignIn";
import { words } from "./setUpWords";

type Given = { setup_code: string; user: string; password: string; again: string; file: string };
type Step = "code" | "admin" | "licence";

const quiet = { meta: { quiet: true, signIn: true } };
/** The step in which a refused field is mended. */
const AT: Record<string, Step> = { setup_code: "code", user: "admin", password: "admin", file: "licence" };

export function SetUp() {
  const t = words.use();
  const offer = useQuery({ ...WAITS, ...quiet, retry: false });
  if (offer.error !== null) return <Refused refusal={refusalOf(offer.error)} onRetry={() => void offer.refetch()} />;
  if (offer.data === undefined) return <Spin fullscreen />;
  if (!offer.data.open)
    return (
      <Result
        status="info"
        title={t("closed")}
        subTitle={t("closed.lead")}
        extra={
          <Button type="primary" href="/">
            {t("closed.go")}
          </Button>
        }
      />
    );
  return <Wizard steps={offer.data.needs_licence ? ["code", "admin", "licence"] : ["code", "admin"]} />;
}

function Wizard({ steps }: { steps: Step[] }) {
  const t = words.use();
  const [form] = Form.useForm<Given>();
  const [at, setAt] = useState(0);
  const setUp = useMutation({
    ...quiet,
    mutationFn: async ({ setup_code, user, password, file }: Given) => {
      await setUpCreate({ body: { setup_code, user, password, file }, throwOnError: true });
      await sessionCreate({ body: { user, password }, throwOnError: true });
    },
    onSuccess: () => location.replace("/system/health"),
    onError: (error) => {
      const field = refusalOf(error).details[0]?.field ?? "";
      const step = AT[field];
      if (step !== undefined) setAt(Math.max(0, steps.indexOf(step)));
    },
  });
  const shown = (step: Step) => ({ hidden: steps[at] !== step });
  const last = at === steps.length - 1;
  return (
    <main className="signin">
      <div className="signin-card set-up">
        <img src="/assets/slipway.svg" alt="" width={44} height={44} />
        <Typography.Title level={1} className="signin-title">
          {t("title")}
        </Typography.Title>
        <Typography.Paragraph type="secondary">{t("lead")}</Typography.Paragraph>
        <Steps size="small" current={at} items={steps.map((step) => ({ title: t(step) }))} className="set-up-steps" />
        <Form<Given>
          form={form}
          layout="vertical"
          requiredMark={false}
          initialValues={{ file: "" }}
          // Enter goes on, and only from the last step to the platform; fields of later steps are not asked for yet.
          onFinish={() => (last ? setUp.mutate(form.getFieldsValue(true) as Given) : setAt(at + 1))}
        >
          <Form.Item
            {...shown("code")}
            name="setup_code"
            label={t("code.label")}
            extra={t("code.help")}
            rules={[{ required: true, pattern: /^([\s-]*[A-Za-z0-9]){20}[\s-]*$/, message: t("code.rule") }]}
          >
            <Input className="mono" autoComplete="off" autoFocus size="large" placeholder="XXXXX-XXXXX-XXXXX-XXXXX" />
          </Form.Item>
          {at >= steps.indexOf("admin") && (
            <>
              <Form.Item
                {...shown("admin")}
                name="user"
                label={t("admin.user")}
                rules={[{ required: true, max: 150, pattern: /^[\p{L}\p{N}_.@+-]+$/u, message: t("admin.user.rule") }]}
              >
                <Input autoComplete="username" autoFocus size="large" />
              </Form.Item>
              <Form.Item {...shown("admin")} name="password" label={t("admin.password")} extra={t("admin.rule")} rules={[{ required: true, min: 8, message: t("admin.rule") }]}>
                <Input.Password autoComplete="new-password" size="large" visibilityToggle={false} />
              </Form.Item>
              <Form.Item
                {...shown("admin")}
                name="again"
                label={t("admin.again")}
                dependencies={["password"]}
                rules={[
                  { required: true, message: t("admin.differ") },
                  { validator: async (_, value) => (value === form.getFieldValue("password") ? undefined : Promise.reject(new Error(t("admin.differ")))) },
                ]}
              >
                <Input.Password autoComplete="new-password" size="large" visibilityToggle={false} />
              </Form.Item>
            </>
          )}
          {steps[at] === "licence" && (
            <>
              <Typography.Paragraph type="secondary">{t("licence.lead")}</Typography.Paragraph>
              <Upload
                accept=".licence,.txt,.json"
                showUploadList={false}
                beforeUpload={(chosen) => {
                  void chosen.text().then((file) => form.setFieldsValue({ file }));
                  return false;
                }}
              >
                <Button>{t("licence.choose")}</Button>
              </Upload>
              <Form.Item name="file" label={t("licence.paste")}>
                <Input.TextArea className="mono" rows={5} />
              </Form.Item>
            </>
          )}
          {setUp.error !== null && <Refused refusal={refusalOf(setUp.error)} />}
          <Space>
            {at > 0 && <Button onClick={() => setAt(at - 1)}>{t("back")}</Button>}
            <Button type="primary" htmlType="submit" loading={setUp.isPending}>
              {last ? t("submit") : t("next")}
            </Button>
          </Space>
        </Form>
        <Choices />
      </div>
    </main>
  );
}
