// A button for what cannot be undone: it says what breaks and has the name typed out.
import { Alert, Button, Form, Input, Modal } from "antd";
import { type ReactNode, useState } from "react";
import { words } from "./words";

type Props = { name: string; label?: string; breaks: ReactNode; busy?: boolean; disabled?: boolean; onConfirm: () => void };

export function Danger({ name, label, breaks, busy = false, disabled = false, onConfirm }: Props) {
  const t = words.use();
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState("");
  const confirm = () => {
    setOpen(false);
    onConfirm();
  };
  return (
    <>
      <Button danger loading={busy} disabled={disabled} onClick={() => (setTyped(""), setOpen(true))}>
        {label ?? t("delete")}
      </Button>
      <Modal
        open={open}
        title={t("delete.confirm", { name })}
        okText={label ?? t("delete")}
        cancelText={t("cancel")}
        okButtonProps={{ danger: true, disabled: typed !== name }}
        onOk={confirm}
        onCancel={() => setOpen(false)}
        destroyOnHidden
      >
        <Alert type="warning" title={breaks} showIcon />
        <Form layout="vertical" onFinish={() => typed === name && confirm()}>
          <Form.Item label={t("delete.type", { name })} htmlFor="danger-name">
            <Input id="danger-name" value={typed} autoComplete="off" onChange={(event) => setTyped(event.target.value)} />
          </Form.Item>
        </Form>
      </Modal>
    </>
  );
}
