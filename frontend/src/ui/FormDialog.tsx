// A button that opens a form in a dialog: refusals are shown in it, and what was typed is not thrown away unasked.
import { Alert, App, Button, type ButtonProps, Form, type FormInstance, Modal } from "antd";
import { type ReactNode, useRef, useState } from "react";
import { type Refusal, refusalOf } from "@/api/refusal";
import { dateTime } from "./figures";
import { Refused } from "./Refused";
import { words } from "./words";

const CHANGED = 412;

type Props<Given> = {
  /** What the button says, and the dialog's title where there is no other. */
  label: string;
  title?: string;
  /** What the button that sends says, where it is not `label`. */
  send?: string;
  type?: ButtonProps["type"];
  disabled?: boolean;
  width?: number;
  initial?: Partial<Given>;
  /** Reads what is edited when the dialog opens, with the tag of its state. */
  load?: () => Promise<{ thing: Partial<Given>; tag: string }>;
  /** Who changed it meanwhile, asked when the platform says that somebody did. */
  changedBy?: () => Promise<{ actor: string; at: string } | null>;
  /** Sends what was given, and upon which state; the dialog closes when it went well. */
  onSubmit: (given: Given, tag: string) => Promise<unknown>;
  children: ReactNode | ((form: FormInstance<Given>) => ReactNode);
};

export function FormDialog<Given extends object>(given: Props<Given>) {
  const t = words.use();
  const { modal } = App.useApp();
  const [form] = Form.useForm<Given>();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  // What is typed before the form was filled would be lost.
  const [filling, setFilling] = useState(false);
  const sending = useRef(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [tag, setTag] = useState("");
  const [other, setOther] = useState<{ actor: string; at: string } | null>(null);
  const close = () => {
    setOpen(false);
    setRefusal(null);
  };
  const read = async () => {
    setRefusal(null);
    if (given.load === undefined) return;
    setFilling(true);
    try {
      const found = await given.load();
      form.setFieldsValue(found.thing);
      setTag(found.tag);
    } catch (error) {
      setRefusal(refusalOf(error));
    } finally {
      setFilling(false);
    }
  };
  const leave = () => {
    if (!form.isFieldsTouched()) close();
    else void modal.confirm({ title: t("unsaved"), okText: t("leave"), cancelText: t("stay"), onOk: close });
  };
  const submit = async (values: Given) => {
    // Enter twice is once, however slow the answer.
    if (sending.current) return;
    sending.current = true;
    setBusy(true);
    setRefusal(null);
    try {
      await given.onSubmit(values, tag);
      close();
    } catch (error) {
      const refused = refusalOf(error);
      // A session that ended asks for the password over this dialog; what was typed waits below.
      if (refused.status !== 401) setRefusal(refused);
      setOther(refused.status === CHANGED ? ((await given.changedBy?.().catch(() => null)) ?? null) : null);
    } finally {
      sending.current = false;
      setBusy(false);
    }
  };
  return (
    <>
      <Button type={given.type ?? "default"} disabled={given.disabled === true} onClick={() => (setOpen(true), void read())}>
        {given.label}
      </Button>
      <Modal
        open={open}
        title={given.title ?? given.label}
        width={given.width ?? 520}
        okText={given.send ?? given.label}
        cancelText={t("cancel")}
        confirmLoading={busy}
        okButtonProps={{ disabled: filling }}
        onOk={form.submit}
        onCancel={leave}
        destroyOnHidden
      >
        <Form<Given>
          form={form}
          layout="vertical"
          preserve={false}
          disabled={filling}
          {...(given.initial !== undefined && { initialValues: given.initial })}
          onFinish={(values) => void submit(values)}
        >
          {typeof given.children === "function" ? given.children(form) : given.children}
          {/* Enter in a field sends. */}
          <button type="submit" hidden />
        </Form>
        {refusal !== null && refusal.status !== CHANGED && <Refused refusal={refusal} />}
        {refusal?.status === CHANGED && (
          <Alert
            type="warning"
            showIcon
            title={other === null ? t("changed") : t("changed.by", { name: other.actor, at: dateTime(other.at) })}
            description={t("changed.lead")}
            action={<Button onClick={() => void read()}>{t("changed.read")}</Button>}
          />
        )}
      </Modal>
    </>
  );
}
