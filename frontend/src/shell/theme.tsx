// Light and dark: the person's choice, or the system's until they choose.
import { App as Antd, ConfigProvider, theme as antd } from "antd";
import enUS from "antd/locale/en_US";
import zhCN from "antd/locale/zh_CN";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

const CHOSEN = "slipway.theme";
type Theme = { dark: boolean; choose: (dark: boolean) => void };
const Current = createContext<Theme>({ dark: false, choose: () => undefined });

export const useTheme = () => useContext(Current);

export function ThemeProvider({ children, only }: { children: ReactNode; /** Dark or not, whatever was chosen. */ only?: boolean }) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const [dark, setDark] = useState(() => {
    if (only !== undefined) return only;
    const chosen = localStorage.getItem(CHOSEN);
    return chosen === null ? system.matches : chosen === "dark";
  });
  const { i18n } = useTranslation();
  useEffect(() => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  }, [dark]);
  useEffect(() => {
    document.documentElement.lang = i18n.language;
  }, [i18n.language]);
  const current = useMemo(
    () => ({
      dark,
      choose: (next: boolean) => {
        localStorage.setItem(CHOSEN, next ? "dark" : "light");
        setDark(next);
      },
    }),
    [dark],
  );
  return (
    <Current value={current}>
      <ConfigProvider
        locale={i18n.language === "zh" ? zhCN : enUS}
        button={{ autoInsertSpace: false }}
        theme={{
          algorithm: dark ? antd.darkAlgorithm : antd.defaultAlgorithm,
          token: {
            // Dark enough, or light enough in the dark, to be read as small text (contrast 4.5 and more); the dark algorithm darkens what it is given.
            colorPrimary: dark ? "#599aff" : "#1554d1",
            colorInfo: dark ? "#599aff" : "#1554d1",
            colorLink: dark ? "#85b1ff" : "#1554d1",
            colorLinkHover: dark ? "#a9c6ff" : "#0f3fa3",
            ...(dark ? {} : { colorPrimaryHover: "#0f3fa3", colorSuccess: "#1f7a3d", colorError: "#c81e2b", colorWarning: "#8f5400" }),
            // Words in these colours stand on their own pale shades, and must be read there too.
            colorError: dark ? "#ff8a85" : "#cf1322",
            colorSuccess: dark ? "#7fd04e" : "#237804",
            colorWarning: dark ? "#e8b04a" : "#a35200",
            ...(!dark && { colorErrorBg: "#fff1f0", colorSuccessBg: "#f2fbea", colorWarningBg: "#fff7e6" }),
            borderRadius: 6,
            // Placeholder and secondary words keep the contrast that small text needs.
            colorTextPlaceholder: dark ? "rgba(255,255,255,.5)" : "rgba(0,0,0,.56)",
            colorTextTertiary: dark ? "rgba(255,255,255,.6)" : "rgba(0,0,0,.6)",
            colorTextDescription: dark ? "rgba(255,255,255,.65)" : "rgba(0,0,0,.62)",
          },
          components: {
            Layout: { headerHeight: 52, headerPadding: "0 20px", siderBg: "#141414" },
            Menu: { itemHeight: 38, ...(dark && { itemSelectedColor: "#b3ccff", darkItemSelectedColor: "#b3ccff" }) },
            // On the lighter blue and red of the dark theme dark words are read better than white ones.
            Button: dark ? { primaryColor: "#050a14", dangerColor: "#050a14" } : {},
          },
        }}
      >
        <Antd notification={{ placement: "bottomRight" }}>{children}</Antd>
      </ConfigProvider>
    </Current>
  );
}
