// Bring a model or adapter in: an archive from this computer, or a directory of the server.
import { useMutation } from "@tanstack/react-query";
import { Form, Input, Modal, Segmented } from "antd";
import { useState } from "react";
import { useNavigate } from "react-router";
import { modelsImportCreate } from "@/api/generated/sdk.gen";
import { uploadModel, useUpload } from "@/api/uploads";
import { DropFile } from "@/ui/DropFile";
import { Sending } from "@/ui/Sending";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

type Given = { name: string; path?: string; base?: string };
const UPLOAD = "model import";

export function ImportModel({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = words.use();
  const tui = uiWords.use();
  const navigate = useNavigate();
  const [form] = Form.useForm<Given>();
  const [from, setFrom] = useState<"archive" | "path">("archive");
  const [file, setFile] = useState<File | null>(null);
  const sending = useUpload(UPLOAD);
  const start = useMutation({
    mutationFn: async ({ name, path, base }: Given) => {
      const source = from === "path" ? { path: path ?? "" } : { upload: file === null ? "" : await uploadModel(UPLOAD, file) };
      const { data } = await modelsImportCreate({ body: { name, ...(base ? { base } : {}), ...source }, throwOnError: true });
      return data;
    },
    onSuccess: (version) => {
      onClose();
      void navigate(`/models/${version.model_id}/versions/${version.id}`);
    },
  });
  return (
    <Modal
      open={open}
      title={t("import")}
      okText={t("import.start")}
      cancelText={tui("cancel")}
      confirmLoading={start.isPending}
      okButtonProps={{ disabled: from === "archive" && file === null }}
      onOk={form.submit}
      onCancel={onClose}
      afterClose={() => setFile(null)}
      destroyOnHidden
      width={620}
    >
      <Form form={form} layout="vertical" onFinish={(given) => !start.isPending && start.mutate(given)}>
        <Form.Item>
          <Segmented
            value={from}
            onChange={setFrom}
            options={[
              { value: "archive", label: t("import.archive") },
              { value: "path", label: t("import.path") },
            ]}
          />
        </Form.Item>
        {from === "archive" ? (
          <Form.Item>
            <DropFile title={file?.name ?? t("import.archive.drop")} accept=".tar,.gz,.tgz,.zip" onFile={setFile} />
          </Form.Item>
        ) : (
          <Form.Item name="path" label={t("import.path")} extra={t("import.path.hint")} rules={[{ required: true }]}>
            <Input autoComplete="off" />
          </Form.Item>
        )}
        <Form.Item name="name" label={t("import.name")} rules={[{ required: true, max: 63 }]}>
          <Input autoComplete="off" />
        </Form.Item>
        <Form.Item name="base" label={t("import.base")} extra={t("import.base.hint")}>
          <Input autoComplete="off" />
        </Form.Item>
      </Form>
      {sending !== undefined && <Sending {...sending} onCancel={sending.cancel} />}
    </Modal>
  );
}
