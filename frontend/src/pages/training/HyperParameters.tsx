// The hyper-parameters that the platform serves, each with what it does, its range, and what auto comes to.
import { Form, InputNumber, Input, Select } from "antd";
import type { HyperParameterOut, TextOut } from "@/api/generated/types.gen";
import { language } from "@/i18n";
import { words } from "./words";

export type Given = Record<string, unknown>;
type Props = {
  schema: HyperParameterOut[];
  given: Given;
  /** What the platform made of it, and why, as far as it was asked. */
  resolved: Record<string, unknown>;
  why: Record<string, TextOut>;
  onChange: (given: Given) => void;
};

const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

export function HyperParameters({ schema, given, resolved, why, onChange }: Props) {
  const t = words.use();
  const speak = language();
  const set = (key: string, value: unknown) => {
    const rest = Object.fromEntries(Object.entries(given).filter(([name]) => name !== key));
    onChange(value === undefined || value === null || value === "" ? rest : { ...rest, [key]: value });
  };
  return (
    <div className="hyper-grid">
      {schema.map((each) => {
        const id = `hyper-${each.key}`;
        const value = given[each.key];
        const auto = resolved[each.key] ?? each.default;
        const placeholder = each.auto && auto !== "auto" ? t("form.auto.value", { value: shown(auto) }) : auto === "auto" ? t("form.auto") : shown(each.default);
        const range = each.minimum !== null && each.maximum !== null ? t("form.range", { low: each.minimum, high: each.maximum }) : "";
        const reason = value === undefined ? why[each.key]?.[speak] : undefined;
        return (
          <Form.Item
            key={each.key}
            htmlFor={id}
            label={
              <span>
                {each.name[speak]} <code className="hyper-key">{each.key}</code>
              </span>
            }
            extra={[each.text[speak], range, reason].filter(Boolean).join(" · ")}
          >
            {each.type === "int" || each.type === "float" ? (
              <InputNumber
                id={id}
                className="wide"
                value={typeof value === "number" ? value : null}
                placeholder={placeholder}
                {...(each.type === "int" && each.minimum !== null && { min: each.minimum })}
                {...(each.type === "int" && each.maximum !== null && { max: each.maximum })}
                {...(each.type === "int" ? { precision: 0 } : { controls: false, keyboard: false })}
                onChange={(next) => set(each.key, next)}
              />
            ) : each.type === "string" ? (
              <Input id={id} allowClear value={typeof value === "string" ? value : ""} placeholder={placeholder} onChange={(event) => set(each.key, event.target.value)} />
            ) : (
              <Select<string>
                id={id}
                allowClear
                value={value === undefined ? null : JSON.stringify(value)}
                placeholder={each.type === "bool" && typeof auto === "boolean" ? t(auto ? "form.yes" : "form.no") : placeholder}
                options={
                  each.type === "bool"
                    ? [true, false].map((choice) => ({ value: JSON.stringify(choice), label: t(choice ? "form.yes" : "form.no") }))
                    : each.choices.map((choice) => ({ value: JSON.stringify(choice), label: shown(choice) }))
                }
                onChange={(next: string | undefined) => set(each.key, next === undefined ? undefined : JSON.parse(next))}
              />
            )}
          </Form.Item>
        );
      })}
    </div>
  );
}
