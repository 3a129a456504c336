// What rewards the answers of a model that learns from rewards: begun from a kind, written as JSON.
import { Form, Input, Select } from "antd";
import { useState } from "react";
import { type GraderKind, graderOf, GRADERS, KINDS, textOf } from "./graders";
import { words } from "./words";

type Props = { grader: Record<string, unknown> | null; onChange: (grader: Record<string, unknown> | null) => void };

export function Grader({ grader, onChange }: Props) {
  const t = words.use();
  const [text, setText] = useState(grader === null ? "" : textOf(grader));
  const found = graderOf(text);
  const write = (next: string) => {
    setText(next);
    const read = graderOf(next);
    onChange("grader" in read ? read.grader : null);
  };
  return (
    <Form.Item
      label={t("form.grader")}
      htmlFor="job-grader"
      required
      extra={t("form.grader.why")}
      {...(text !== "" && "fault" in found && { validateStatus: "error" as const, help: t("form.grader.fault", { fault: found.fault }) })}
    >
      <Select<GraderKind | null>
        className="grader-kind"
        aria-label={t("form.grader.kind")}
        placeholder={t("form.grader.kind")}
        value={null}
        options={KINDS.map((kind) => ({ value: kind, label: t(`form.grader.${kind}`) }))}
        onChange={(kind) => kind !== null && write(textOf(GRADERS[kind]))}
      />
      <Input.TextArea id="job-grader" className="mono" rows={6} spellCheck={false} value={text} onChange={(event) => write(event.target.value)} />
    </Form.Item>
  );
}
