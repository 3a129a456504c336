import { expect, test } from "vitest";

type Module = { words: { languages: { zh: Record<string, string>; en: Record<string, string> } } };
const modules = import.meta.glob<Module>("./**/words.ts", { eager: true });
const places = (text: string) => [...text.matchAll(/\{\{\w+\}\}/g)].map(String).sort();

test.each(Object.entries(modules))("%s says the same in both languages", (_file, { words }) => {
  const { zh, en } = words.languages;
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const key of Object.keys(en)) {
    expect(zh[key], `zh ${key}`).not.toBe("");
    expect(en[key], `en ${key}`).not.toBe("");
    expect(places(zh[key] ?? ""), key).toEqual(places(en[key] ?? ""));
    expect(/[\u4e00-\u9fff]/.test(en[key] ?? ""), `Chinese in the English ${key}`).toBe(false);
  }
});

test("every folder of pages brings words", () => {
  const folders = Object.keys(import.meta.glob("./pages/*/*Page.tsx")).map((file) => file.replace(/[^/]*$/, ""));
  for (const folder of folders) expect(Object.keys(modules)).toContain(`${folder}words.ts`);
});
