// A secret that is shown once: copied here or lost.
import { Alert, Button, Modal, Typography } from "antd";
import { words } from "./words";

type Props = { title: string; warning: string; value: string | undefined; onClose: () => void };

export function ShownOnce({ title, warning, value, onClose }: Props) {
  const t = words.use();
  return (
    <Modal
      open={value !== undefined}
      title={title}
      closable={false}
      destroyOnHidden
      footer={
        <Button type="primary" onClick={onClose}>
          {t("saved")}
        </Button>
      }
    >
      <Alert type="warning" showIcon title={warning} />
      <Typography.Paragraph className="spaced mono" copyable={{ text: value ?? "" }}>
        {value}
      </Typography.Paragraph>
    </Modal>
  );
}
