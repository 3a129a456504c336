// The same act as code, in several languages, each copied with one press.
import { Button, Tabs } from "antd";
import { useState } from "react";
import { words } from "./words";

export type Code = { name: string; text: string };

function Sample({ text }: { text: string }) {
  const t = words.use();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <div className="sample">
      <Button size="small" onClick={() => void copy()} className="sample-copy">
        {copied ? t("code.copied") : t("code.copy")}
      </Button>
      <pre className="code mono" tabIndex={0}>
        {text}
      </pre>
    </div>
  );
}

export function CodeTabs({ samples, note }: { samples: Code[]; note?: string }) {
  const t = words.use();
  return (
    <div>
      <p className="quiet">{note ?? t("code.key")}</p>
      <Tabs size="small" items={samples.map(({ name, text }) => ({ key: name, label: name, children: <Sample text={text} /> }))} />
    </div>
  );
}
