// How people come in: identity providers, what the organisation asks of everybody, directories that provision people.
import { Tabs } from "antd";
import { useFilter } from "@/api/cursor";
import { Page } from "@/ui/Page";
import { Directories } from "./Directories";
import { words } from "./entryWords";
import { Providers } from "./Providers";
import { SignInRules } from "./SignInRules";

export default function SignInPage() {
  const t = words.use();
  const [tab, setTab] = useFilter("tab");
  return (
    <Page title={t("signin")} lead={t("signin.lead")}>
      <Tabs
        activeKey={tab ?? "providers"}
        onChange={(key) => setTab(key === "providers" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "providers", label: t("providers"), children: <Providers /> },
          { key: "rules", label: t("rules"), children: <SignInRules /> },
          { key: "directories", label: t("directories"), children: <Directories /> },
        ]}
      />
    </Page>
  );
}
