// Words in two languages: each page brings its own, and both languages must have the same keys.
import i18next from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";

export type Language = "zh" | "en";
const CHOSEN = "slipway.language";

function first(): Language {
  const chosen = localStorage.getItem(CHOSEN);
  if (chosen === "zh" || chosen === "en") return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

void i18next.use(initReactI18next).init({
  lng: typeof localStorage === "undefined" ? "en" : first(),
  fallbackLng: false,
  initAsync: false,
  resources: {},
  keySeparator: false,
  nsSeparator: false,
  interpolation: { escapeValue: false },
  react: { useSuspense: false },
});

export function speak(language: Language): void {
  localStorage.setItem(CHOSEN, language);
  document.documentElement.lang = language;
  void i18next.changeLanguage(language);
}

export const language = () => i18next.language as Language;

type Values = Record<string, string | number>;
export type Words<Key extends string> = (key: Key, values?: Values) => string;

/** The hook that speaks these words; the compiler refuses a key that one language lacks. */
export function defineWords<Key extends string>(
  namespace: string,
  languages: { zh: Record<Key, string>; en: Record<Key, string> },
): { use: () => Words<Key>; languages: typeof languages } {
  i18next.addResourceBundle("zh", namespace, languages.zh);
  i18next.addResourceBundle("en", namespace, languages.en);
  return {
    languages,
    use: () => {
      const { t } = useTranslation(namespace);
      // The same function from one render to the next, so that effects may depend on it.
      return t as unknown as Words<Key>;
    },
  };
}
