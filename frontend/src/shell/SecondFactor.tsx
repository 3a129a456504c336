// Setting up a second factor before one is let in: an authenticator app or a passkey, and the recovery codes, shown once.
import { useMutation } from "@tanstack/react-query";
import { Button, Typography } from "antd";
import { useState } from "react";
import { hasPasskeys, makePasskey } from "@/api/passkey";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { Authenticator } from "./Authenticator";
import { words } from "./words";

export function SecondFactor({ onDone }: { onDone: () => void }) {
  const t = words.use();
  const [codes, setCodes] = useState<string[]>([]);
  const passkey = useMutation({ meta: { quiet: true, signIn: true }, mutationFn: () => makePasskey(location.hostname), onSuccess: onDone });
  return (
    <main className="signin">
      <div className="signin-card">
        <Typography.Title level={1} className="signin-title">
          {t("second.title")}
        </Typography.Title>
        {codes.length > 0 ? (
          <>
            <Typography.Paragraph>{t("second.codes")}</Typography.Paragraph>
            <Typography.Paragraph copyable={{ text: codes.join("\n") }}>
              <code>{codes.join(" ")}</code>
            </Typography.Paragraph>
            <Button type="primary" size="large" block onClick={onDone}>
              {t("second.kept")}
            </Button>
          </>
        ) : (
          <>
            <Typography.Paragraph type="secondary">{t("second.lead")}</Typography.Paragraph>
            <Authenticator onDone={(given) => (given.length > 0 ? setCodes(given) : onDone())} />
            {hasPasskeys() && (
              <Button type="link" block loading={passkey.isPending} onClick={() => passkey.mutate()}>
                {t("second.passkey")}
              </Button>
            )}
          </>
        )}
        {passkey.error !== null && <Refused refusal={refusalOf(passkey.error)} />}
      </div>
    </main>
  );
}
