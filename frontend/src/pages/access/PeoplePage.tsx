// Who is here: members, invites, groups, service accounts, and why somebody may or may not do something.
import { Tabs } from "antd";
import { useFilter } from "@/api/cursor";
import { useMay } from "@/shell/session";
import { Page } from "@/ui/Page";
import { Accounts } from "./Accounts";
import { Explain } from "./Explain";
import { Groups } from "./Groups";
import { Invites } from "./Invites";
import { Members } from "./Members";
import { words } from "./words";

export default function PeoplePage() {
  const t = words.use();
  const may = useMay();
  const [tab, setTab] = useFilter("tab");
  return (
    <Page title={t("people")} lead={t("people.lead")}>
      <Tabs
        activeKey={tab ?? "members"}
        onChange={(key) => setTab(key === "members" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "members", label: t("members"), children: <Members /> },
          { key: "invites", label: t("invites"), children: <Invites /> },
          ...(may("organisation", "read") ? [{ key: "groups", label: t("groups"), children: <Groups /> }] : []),
          { key: "accounts", label: t("accounts"), children: <Accounts /> },
          { key: "why", label: t("why"), children: <Explain /> },
        ]}
      />
    </Page>
  );
}
