// A new key: asked for in one dialog, its value shown once in the same.
import { useMutation } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Modal, Select, Typography } from "antd";
import { keysCreateMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { KeyIn } from "@/api/generated/types.gen";
import { words as uiWords } from "@/ui/words";
import { useSession } from "@/shell/session";
import { words } from "./words";

const ROLES = ["reader", "operator", "owner"] as const;
const DAY = 86_400_000;
type Given = { name: string; role: KeyIn["role"]; days: number };

export function NewKey({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = words.use();
  const tui = uiWords.use();
  const session = useSession();
  const [form] = Form.useForm<Given>();
  const make = useMutation(keysCreateMutation());
  const close = () => {
    // The value leaves this page's memory with the dialog.
    make.reset();
    onClose();
  };
  const submit = ({ name, role, days }: Given) =>
    make.mutate({ body: { name, role, expires_at: days === 0 ? null : new Date(Date.now() + days * DAY).toISOString() } });
  // A key can never do more than who makes it.
  const own = ROLES.findIndex((role) => role === session.role);
  const roles = own < 0 ? ROLES : ROLES.slice(0, own + 1);
  if (make.data !== undefined) {
    return (
      <Modal key="made" open={open} title={t("key.made")} closable={false} footer={<Button type="primary" onClick={close}>{t("key.saved")}</Button>}>
        <Alert type="warning" showIcon title={t("key.once")} />
        <Typography.Paragraph className="spaced mono" copyable={{ text: make.data.secret }}>
          {make.data.secret}
        </Typography.Paragraph>
      </Modal>
    );
  }
  return (
    <Modal
      key="ask"
      open={open}
      title={t("key.new")}
      okText={t("key.new")}
      cancelText={tui("cancel")}
      confirmLoading={make.isPending}
      onOk={form.submit}
      onCancel={close}
      destroyOnHidden
    >
      <Form form={form} layout="vertical" initialValues={{ role: "operator", days: 90 }} onFinish={submit}>
        <Form.Item name="name" label={t("key.name")} rules={[{ required: true, max: 63 }]}>
          <Input autoComplete="off" />
        </Form.Item>
        <Form.Item name="role" label={t("key.role")}>
          <Select options={roles.map((role) => ({ value: role, label: t(`key.role.${role}`) }))} />
        </Form.Item>
        <Form.Item name="days" label={t("key.expires")}>
          <Select
            options={[
              ...[1, 7, 30, 90, 365].map((n) => ({ value: n, label: t("key.days", { n }) })),
              { value: 0, label: t("key.never") },
            ]}
          />
        </Form.Item>
      </Form>
    </Modal>
  );
}
