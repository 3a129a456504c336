// How far an upload is, with a way to stop it; or why it broke off.
import { Alert, Button, Progress, Space } from "antd";
import type { Refusal } from "@/api/refusal";
import { bytes } from "./figures";
import { Refused, RefusedText } from "./Refused";
import { words } from "./words";

type Props = { name: string; sent: number; total: number; refusal: Refusal | null; onCancel: () => void };

export function Sending({ name, sent, total, refusal, onCancel }: Props) {
  const t = words.use();
  if (refusal !== null && (refusal.status === 0 || refusal.status >= 500))
    return (
      <Alert
        type="error"
        showIcon
        title={t("upload.broke", { name })}
        description={
          <>
            <div>{t("upload.broke.fix", { sent: bytes(sent), total: bytes(total) })}</div>
            {refusal.status !== 0 && <RefusedText refusal={refusal} />}
          </>
        }
      />
    );
  if (refusal !== null) return <Refused refusal={refusal} />;
  return (
    <div className="card" role="status">
      <Space wrap>
        <span>{t("upload.sending", { name })}</span>
        <span className="number">
          {bytes(sent)} / {bytes(total)}
        </span>
        <Button size="small" onClick={onCancel}>
          {t("upload.cancel")}
        </Button>
      </Space>
      <Progress percent={Math.floor((100 * sent) / Math.max(1, total))} aria-label={t("upload.sending", { name })} />
    </div>
  );
}
