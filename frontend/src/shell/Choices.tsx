// The two switches that stand everywhere: language and light or dark.
import { GlobalOutlined, MoonOutlined, SunOutlined } from "@ant-design/icons";
import { Button, Space } from "antd";
import { useTranslation } from "react-i18next";
import { speak } from "@/i18n";
import { useTheme } from "./theme";
import { words } from "./words";

export function Choices() {
  const t = words.use();
  const { dark, choose } = useTheme();
  const { i18n } = useTranslation();
  const other = i18n.language === "zh" ? "en" : "zh";
  const name = other === "zh" ? "中文" : "English";
  return (
    <Space size={4}>
      <Button type="text" icon={<GlobalOutlined />} lang={other} onClick={() => speak(other)}>
        {name}
      </Button>
      <Button
        type="text"
        icon={dark ? <SunOutlined /> : <MoonOutlined />}
        aria-label={dark ? t("theme.light") : t("theme.dark")}
        title={dark ? t("theme.light") : t("theme.dark")}
        onClick={() => choose(!dark)}
      />
    </Space>
  );
}
