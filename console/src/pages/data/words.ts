import { defineWords } from "@/i18n";

export const words = defineWords("data", {
  zh: { title: "数据管理", lead: "数据集按版本保存;发布后的版本不再改变。", empty: "还没有数据集", made_by: "创建者", description: "说明" },
  en: { title: "Data", lead: "Datasets are kept in versions; a published version never changes.", empty: "No datasets yet", made_by: "Made by", description: "Description" },
});
