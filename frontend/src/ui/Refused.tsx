// How a refusal looks: what, where, what to do, and the request id to quote.
import { Alert, Button, Typography } from "antd";
import type { Refusal } from "@/api/refusal";
import { words } from "./words";

type Say = ReturnType<typeof words.use>;

export function refusedTitle(refusal: Refusal, t: Say): string {
  if (refusal.status === 0) return t("refused.unreachable");
  if (refusal.status === 403) return t("refused.forbidden");
  if (refusal.status === 404) return t("refused.missing");
  if (refusal.status === 409) return t("refused.conflict");
  if (refusal.status >= 500) return t("refused.broken");
  return t("refused.title");
}

export function RefusedText({ refusal }: { refusal: Refusal }) {
  const t = words.use();
  return (
    <>
      <div>{refusal.status === 0 ? t("refused.unreachable.fix") : refusal.message}</div>
      {refusal.details.length > 0 && (
        <ul className="refused-details">
          {refusal.details.map((each, index) => (
            <li key={index}>
              {each.field !== "" && <code>{each.field}</code>} {each.rule}
              {each.fix !== "" && (
                <div>
                  {t("refused.fix")}: {each.fix}
                </div>
              )}
            </li>
          ))}
        </ul>
      )}
      {refusal.requestId !== "" && (
        <Typography.Text type="secondary" copyable={{ text: refusal.requestId }} className="refused-id">
          {t("refused.id")} {refusal.requestId}
        </Typography.Text>
      )}
    </>
  );
}

export function Refused({ refusal, onRetry }: { refusal: Refusal; onRetry?: () => void }) {
  const t = words.use();
  return (
    <Alert
      className="refused"
      type="error"
      showIcon
      title={refusedTitle(refusal, t)}
      description={<RefusedText refusal={refusal} />}
      action={onRetry && <Button onClick={onRetry}>{t("retry")}</Button>}
    />
  );
}
