// A button for what can be made good again, but breaks something: it says what before it is done.
import { Button, Popconfirm } from "antd";
import { words as uiWords } from "../words";

type Props = { label: string; what: string; breaks: string; busy?: boolean; danger?: boolean; onConfirm: () => void };

export function Sure({ label, what, breaks, busy = false, danger = false, onConfirm }: Props) {
  const t = uiWords.use();
  return (
    <Popconfirm
      title={what}
      description={<div className="sure">{breaks}</div>}
      okText={label}
      cancelText={t("close")}
      okButtonProps={{ danger }}
      onConfirm={onConfirm}
    >
      <Button danger={danger} loading={busy}>
        {label}
      </Button>
    </Popconfirm>
  );
}
