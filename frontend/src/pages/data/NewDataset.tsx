// A new dataset from a dropped file: named, made, and its first version sent on its way.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Collapse, Form, Input, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { datasetFormatsRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetIn } from "@/api/generated/types.gen";
import { datasetsCreate, datasetsVersionsCreate } from "@/api/generated/sdk.gen";
import { refusalOf } from "@/api/refusal";
import { uploadDataset } from "@/api/uploads";
import { DropFile } from "@/ui/DropFile";
import { bytes } from "@/ui/figures";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { nameOf } from "./names";
import { words } from "./words";

export function NewDataset({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = words.use();
  const tui = uiWords.use();
  const navigate = useNavigate();
  const { i18n } = useTranslation();
  const [form] = Form.useForm<DatasetIn>();
  const [file, setFile] = useState<File | null>(null);
  const formats = useQuery({ ...datasetFormatsRetrieveOptions(), enabled: open, staleTime: Infinity });
  const make = useMutation({
    mutationFn: async (body: DatasetIn) => {
      const { data: dataset } = await datasetsCreate({ body, throwOnError: true });
      if (file === null) return `/data/${dataset.id}`;
      const { data: version } = await datasetsVersionsCreate({ path: { dataset_id: dataset.id }, body: {}, throwOnError: true });
      // The page of the version shows how far the upload is, and what became of it.
      void uploadDataset(version.id, file).catch(() => undefined);
      return `/data/${dataset.id}/versions/${version.id}`;
    },
    // Told in the form, where it is mended, and gone with the next try.
    meta: { quiet: true },
    onSuccess: (to) => {
      onClose();
      void navigate(to);
    },
  });
  const choose = (chosen: File) => {
    setFile(chosen);
    if (!form.isFieldTouched("name")) form.setFieldsValue({ name: nameOf(chosen.name) });
  };
  return (
    <Modal
      open={open}
      title={t("new.title")}
      okText={t("new.create")}
      cancelText={tui("cancel")}
      confirmLoading={make.isPending}
      onOk={form.submit}
      onCancel={onClose}
      afterClose={() => (setFile(null), make.reset())}
      destroyOnHidden
      width={620}
    >
      <Form form={form} layout="vertical" onFinish={(body) => !make.isPending && make.mutate(body)} preserve={false}>
        <DropFile title={file === null ? t("new.file") : t("new.chosen", { name: file.name, size: bytes(file.size) })} hint={t("new.file.hint")} onFile={choose} />
        <Form.Item name="name" label={t("new.name")} extra={t("new.name.rule")} rules={[{ required: true, max: 63 }]} className="spaced">
          <Input autoComplete="off" />
        </Form.Item>
        <Form.Item name="description" label={t("description")}>
          <Input.TextArea rows={2} maxLength={2000} />
        </Form.Item>
      </Form>
      {make.error && refusalOf(make.error).status !== 401 && <Refused refusal={refusalOf(make.error)} />}
      <Collapse
        size="small"
        ghost
        items={(formats.data?.formats ?? []).map((each) => ({
          key: each.name,
          label: `${t("new.formats")}: ${i18n.language === "zh" ? each.title_zh : each.title}`,
          children: <pre className="code mono">{each.example}</pre>,
        }))}
      />
    </Modal>
  );
}
