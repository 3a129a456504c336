// One faulty line as it came, mended where it stands.
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Input, Modal, Space } from "antd";
import { useState } from "react";
import { datasetVersionsLinesRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import type { DatasetFaultOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { language } from "@/i18n";
import { notJson } from "@/ui/notJson";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { fixIn } from "./fixes";
import { isRule, rules } from "./rules";
import { words } from "./words";

type Props = { versionId: string; fault: DatasetFaultOut; kept: string | null | undefined; onKeep: (text: string | null | undefined) => void };

export function Mend({ versionId, fault, kept, onKeep }: Props) {
  const t = words.use();
  const tr = rules.use();
  const tui = uiWords.use();
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState<string>();
  const path = { version_id: versionId, number: fault.line };
  const found = useQuery({ ...datasetVersionsLinesRetrieveOptions({ path }), enabled: open, staleTime: Infinity });
  const text = typed ?? kept ?? found.data?.text ?? "";
  const wrong = notJson(text);
  const done = (value: string | null | undefined) => {
    onKeep(value);
    setOpen(false);
    setTyped(undefined);
  };
  return (
    <>
      <Button size="small" type={kept === undefined ? "default" : "primary"} onClick={() => setOpen(true)}>
        {kept === undefined ? t("mend") : kept === null ? t("mend.removed") : t("mend.done")}
      </Button>
      <Modal
        open={open}
        width={720}
        title={t("mend.title", { n: fault.line })}
        onCancel={() => setOpen(false)}
        footer={
          <Space>
            {kept !== undefined && <Button onClick={() => done(undefined)}>{t("mend.undo")}</Button>}
            <Button danger onClick={() => done(null)}>{t("mend.remove")}</Button>
            <Button onClick={() => setOpen(false)}>{tui("cancel")}</Button>
            <Button type="primary" disabled={wrong !== "" || text.trim() === ""} onClick={() => done(text)}>
              {t("mend.keep")}
            </Button>
          </Space>
        }
      >
        <div className="stack">
          <Alert type="warning" showIcon title={`${fault.path} ${isRule(fault.rule) ? tr(fault.rule) : fault.text}`} description={fixIn(language(), fault.fix)} />
          {found.error && <Refused refusal={refusalOf(found.error)} />}
          <Input.TextArea
            className="mono"
            autoFocus
            rows={4}
            aria-label={t("mend.title", { n: fault.line })}
            aria-invalid={wrong !== ""}
            // What is typed before the line has come would be typed into nothing.
            disabled={typed === undefined && kept === undefined && found.isPending}
            value={text}
            onChange={(event) => setTyped(event.target.value.replaceAll("\n", " "))}
          />
          {wrong !== "" && text !== "" && <span role="status">{t("mend.json", { why: wrong })}</span>}
        </div>
      </Modal>
    </>
  );
}
