// What it costs and may cost: costs, budgets, bills, prices, and credit paid in advance.
import { Tabs } from "antd";
import { useFilter } from "@/api/cursor";
import { Page } from "@/ui/Page";
import { Bills } from "./Bills";
import { Budgets } from "./Budgets";
import { Costs } from "./Costs";
import { Credit } from "./Credit";
import { Plans } from "./Plans";
import { words as planWords } from "./planWords";
import { Prices } from "./Prices";
import { words } from "./words";

export default function MoneyPage() {
  const t = words.use();
  const plans = planWords.use();
  const [tab, setTab] = useFilter("tab");
  return (
    <Page title={t("money")} lead={t("money.lead")}>
      <Tabs
        activeKey={tab ?? "costs"}
        onChange={(key) => setTab(key === "costs" ? undefined : key)}
        destroyOnHidden
        items={[
          { key: "costs", label: t("costs"), children: <Costs /> },
          { key: "budgets", label: t("budgets"), children: <Budgets /> },
          { key: "bills", label: t("bills"), children: <Bills /> },
          { key: "prices", label: t("prices"), children: <Prices /> },
          { key: "plans", label: plans("plans"), children: <Plans /> },
          { key: "credit", label: t("credit"), children: <Credit /> },
        ]}
      />
    </Page>
  );
}
