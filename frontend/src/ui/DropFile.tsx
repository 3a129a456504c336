// A place to drop a file, or to choose one by mouse or keyboard.
import { InboxOutlined } from "@ant-design/icons";
import { Upload } from "antd";
import type { ReactNode } from "react";

type Props = { title: string; hint?: ReactNode; accept?: string; onFile: (file: File) => void };

export function DropFile({ title, hint, accept, onFile }: Props) {
  return (
    <Upload.Dragger
      multiple={false}
      showUploadList={false}
      {...(accept !== undefined && { accept })}
      beforeUpload={(file) => {
        onFile(file);
        return false;
      }}
    >
      <p className="ant-upload-drag-icon">
        <InboxOutlined />
      </p>
      <p className="ant-upload-text">{title}</p>
      {hint !== undefined && <p className="ant-upload-hint">{hint}</p>}
    </Upload.Dragger>
  );
}
