// An authenticator app is made known: its key as a QR code and for typing, in force with the first passcode.
import { useMutation } from "@tanstack/react-query";
import { Button, Form, Input, QRCode, Spin, Typography } from "antd";
import { useEffect } from "react";
import { sessionFactorsTotpConfirmCreate, sessionFactorsTotpCreate } from "@/api/generated/sdk.gen";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

const quiet = { meta: { quiet: true, signIn: true } };

/** `onDone` gets the recovery codes that came with it, if the person had none. */
export function Authenticator({ onDone }: { onDone: (codes: string[]) => void }) {
  const t = words.use();
  const begin = useMutation({ ...quiet, mutationFn: async () => (await sessionFactorsTotpCreate({ throwOnError: true })).data });
  const confirm = useMutation({
    ...quiet,
    mutationFn: async (given: { passcode: string }) => (await sessionFactorsTotpConfirmCreate({ body: given, throwOnError: true })).data,
    onSuccess: ({ passcodes }) => onDone(passcodes),
  });
  const { mutate } = begin;
  useEffect(() => mutate(), [mutate]);
  const failed = begin.error ?? confirm.error;
  return (
    <>
      {begin.isPending && <Spin />}
      {begin.data !== undefined && (
        <Form<{ passcode: string }> layout="vertical" requiredMark={false} onFinish={(given) => confirm.mutate(given)}>
          <QRCode value={begin.data.secret_uri} type="svg" />
          <Typography.Paragraph copyable={{ text: begin.data.secret }}>
            <code>{begin.data.secret}</code>
          </Typography.Paragraph>
          <Form.Item name="passcode" label={t("second.passcode")} rules={[{ required: true }]}>
            <Input autoComplete="one-time-code" size="large" />
          </Form.Item>
          <Button type="primary" htmlType="submit" size="large" block loading={confirm.isPending}>
            {t("second.submit")}
          </Button>
        </Form>
      )}
      {failed !== null && <Refused refusal={refusalOf(failed)} />}
    </>
  );
}
