// What the organisation asks of everybody who comes in through a browser.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Switch } from "antd";
import { signInRulesRetrieveOptions, signInRulesUpdateMutation } from "@/api/generated/@tanstack/react-query.gen";
import { signInRulesRetrieve } from "@/api/generated/sdk.gen";
import type { SignInRules as Rules } from "@/api/generated/types.gen";
import { seen, upon } from "@/api/editing";
import { refusalOf } from "@/api/refusal";
import { useMay } from "@/shell/session";
import { Facts } from "@/ui/Facts";
import { FormDialog } from "@/ui/FormDialog";
import { Refused } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { words } from "./entryWords";

export function SignInRules() {
  const t = words.use();
  const tui = uiWords.use();
  const decides = useMay()("organisation", "full");
  const found = useQuery(signInRulesRetrieveOptions());
  const change = useMutation({ ...signInRulesUpdateMutation(), meta: { quiet: true } });
  const said = (on: boolean | undefined) => (on === undefined ? "" : on ? t("rule.on") : t("rule.off"));
  return (
    <div className="stack">
      {found.error && <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />}
      <Facts
        label={t("rules")}
        facts={[
          [t("rule.second"), said(found.data?.requires_second_factor)],
          [t("rule.signon"), said(found.data?.requires_sign_on)],
        ]}
      />
      {decides && (
        <div>
          <FormDialog<Rules>
            label={t("rules.change")}
            send={tui("save")}
            load={() => seen(signInRulesRetrieve({ throwOnError: true }))}
            onSubmit={(body, tag) => change.mutateAsync({ body, headers: upon(tag) })}
          >
            <Form.Item name="requires_second_factor" label={t("rule.second")} extra={t("rule.second.extra")} valuePropName="checked">
              <Switch />
            </Form.Item>
            <Form.Item name="requires_sign_on" label={t("rule.signon")} extra={t("rule.signon.extra")} valuePropName="checked">
              <Switch />
            </Form.Item>
          </FormDialog>
        </div>
      )}
    </div>
  );
}
