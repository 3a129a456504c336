import { defineWords } from "@/i18n";

export const words = defineWords("home", {
  zh: { title: "首页" },
  en: { title: "Home" },
});
