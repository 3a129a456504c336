// How a refusal looks: what, where, what to do, and the request id to quote.
import { Alert, Button, Typography } from "antd";
import type { Refusal } from "@/api/refusal";
import { words } from "./words";

/** How the platform says which right is wanting. */
const RIGHT = /^This needs ([\w-]+): (\w+);/;

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
  const [, module, level] = (refusal.status === 403 && RIGHT.exec(refusal.message)) || [];
  return (
    <>
      {module !== undefined && level !== undefined ? (
        // A plain link: notices stand outside of the pages' router.
        <div>
          {t("refused.needs", { module, level })} <a className="within" href="/system/people?tab=why">{t("refused.why")}</a>
        </div>
      ) : (
        <div>{refusal.status === 0 ? t("refused.unreachable.fix") : refusal.message}</div>
      )}
      {refusal.details.length > 0 && (
        <ul className="refused-details">
          {refusal.details.map((each, index) => (
            <li key={index}>
              {each.field !== "" && <code>{each.field}</code>} {each.rule !== refusal.message && each.rule}
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
