// What keeps a text from being JSON, as a sentence: each browser words it otherwise, and in English.
import { language } from "@/i18n";

const SAID = {
  zh: { cut: "没有写完，还缺引号或右括号", wrong: "不是完整的 JSON 值", at: "第 {{n}} 个字符处：" },
  en: { cut: "it is cut off: a quote or a closing bracket is missing", wrong: "it is not one whole JSON value", at: "at character {{n}}: " },
};

/** Empty where the text is JSON. */
export function notJson(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    const thrown = String(error);
    const said = SAID[language()];
    if (/end of JSON|unterminated/i.test(thrown)) return said.cut;
    const position = /position (\d+)/.exec(thrown)?.[1];
    return (position === undefined ? "" : said.at.replace("{{n}}", String(Number(position) + 1))) + said.wrong;
  }
}
