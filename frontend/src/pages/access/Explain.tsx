// Why somebody, or a key, may or may not do something here.
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Form, Input, Select } from "antd";
import { useState } from "react";
import { accessExplainRetrieveOptions, accessModulesListOptions, keysListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

type Asked = { user?: string; key?: string; module: string; level: "read" | "operate" | "full" };

export function Explain() {
  const t = words.use();
  const tui = uiWords.use();
  const [asked, setAsked] = useState<Asked>();
  const modules = useQuery({ ...accessModulesListOptions(), staleTime: 300_000 });
  const keys = useQuery({ ...keysListOptions({ query: { limit: 200 } }), staleTime: 30_000 });
  const found = useQuery({
    ...accessExplainRetrieveOptions({ query: { ...asked, module: (asked?.module ?? "datasets") as "datasets", level: asked?.level ?? "read" } }),
    enabled: asked !== undefined,
  });
  const answer = found.data;
  return (
    <div className="stack">
      <Form<Asked> layout="inline" className="asking" initialValues={{ module: "datasets", level: "operate" }} onFinish={({ user, key, ...rest }) => setAsked({ ...rest, ...(user && { user }), ...(key && { key }) })}>
        <Form.Item name="user" label={t("why.user")}>
          <Input placeholder={t("why.me")} autoComplete="off" />
        </Form.Item>
        <Form.Item name="key" label={t("why.key")}>
          <Select allowClear popupMatchSelectWidth={false} className="choice" options={(keys.data?.data ?? []).map((each) => ({ value: each.id, label: `${each.name} (${each.redacted})` }))} />
        </Form.Item>
        <Form.Item name="module" label={t("module")}>
          <Select popupMatchSelectWidth={false} className="choice" options={(modules.data?.data ?? []).map((each) => ({ value: each.name, label: t(`module.${each.name}` as "module.datasets") }))} />
        </Form.Item>
        <Form.Item name="level" label={t("level")}>
          <Select className="choice" options={(["read", "operate", "full"] as const).map((each) => ({ value: each, label: tui(`level.${each}`) }))} />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={found.isFetching}>
          {t("why.ask")}
        </Button>
      </Form>
      {found.error && <Refused refusal={refusalOf(found.error)} />}
      {answer !== undefined && (
        <Alert
          type={answer.allowed ? "success" : "error"}
          showIcon
          title={t(answer.allowed ? "why.may" : "why.may_not", { who: answer.who, module: t(`module.${answer.module}` as "module.datasets"), needs: tui(`level.${answer.needs as "read"}`) })}
          description={
            <>
              <ul>
                {answer.because.map((each) => (
                  <li key={each}>{each}</li>
                ))}
              </ul>
              {answer.fix !== "" && answer.fix}
            </>
          }
        />
      )}
    </div>
  );
}
