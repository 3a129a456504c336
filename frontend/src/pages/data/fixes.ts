// Proposed fixes as Chinese sentences: the platform writes them in English, with the values they are about.

const SAID: [RegExp, string][] = [
  [/^write a value there: .*$/, "在此处写一个值：双引号中的文本、数字、列表或对象"],
  [/^put a comma between two values, or close the bracket$/, "两个值之间加逗号，或补上右括号"],
  [/^put a colon between a name and its value$/, "名称和值之间加冒号"],
  [/^write a name in double quotes there$/, "在此处写双引号中的名称"],
  [/^close the text with a double quote$/, "用双引号结束这段文本"],
  [/^write a backslash of a text twice$/, "文本中的反斜杠要写两个"],
  [/^write one whole JSON value in this line$/, "在这一行写一个完整的 JSON 值"],
  [/^write control characters as escapes, such as \\t$/, "控制字符写成转义形式，例如 \\t"],
  [/^write it as one text$/, "写成一段文本"],
  [/^write (\d+) cells: (.*)$/s, "写 $1 列：$2"],
  [/^write (.*)$/s, "写成 $1"],
  [/^use one of (.*); GET (\S+) has an example of each$/, "使用 $1 之一；GET $2 中各有示例"],
  [/^use one of (.*)$/, "使用 $1 之一"],
  [/^use double quotes$/, "使用双引号"],
  [/^use a relative name with forward slashes$/, "使用相对路径和正斜杠"],
  [/^use a name without \.\.$/, "文件名中不要有 .."],
  [/^name the columns (.*); or give format text if it is no table$/, "把列命名为 $1；如果不是表格，请选择文本格式"],
  [/^give it text, or remove the row$/, "填写文本，或删除这一行"],
  [/^give an answer that is worse, or remove the row$/, "给出一个较差的回答，或删除这一行"],
  [/^a number from 0 to 1, or leave it out$/, "填 0 到 1 之间的数，或不填"],
  [/^a number, 0 or more$/, "填不小于 0 的数"],
  [/^leave it out$/, "去掉它"],
  [/^at most (\d+) characters$/, "至多 $1 个字符"],
  [/^at most (\d+) files$/, "至多 $1 个文件"],
  [/^add a question and its answer, or remove the row$/, "补上问题和回答，或删除这一行"],
  [/^add the answer, or remove what follows the last answer$/, "补上回答，或删除最后一个回答之后的内容"],
  [/^add rows$/, "加入数据行"],
  [/^upload rows$/, "上传有数据行的文件"],
  [/^upload a text file of rows, such as \.jsonl$/, "上传文本文件，例如 .jsonl"],
  [/^remove this message, so that the user begins$/, "删除这条消息，让 user 先发言"],
  [/^remove the comma before the closing bracket$/, "删除右括号前的逗号"],
  [/^remove the broken character$/, "删除损坏的字符"],
  [/^remove the broken \\u escape$/, "删除损坏的 \\u 转义"],
  [/^remove it, or give it as reference_answer$/, "删除它，或作为 reference_answer 给出"],
  [/^remove it$/, "删除它"],
  [/^cut after message (\d+)$/, "在第 $1 条消息之后截断"],
  [/^move it to the front, joined with a line feed if there are several$/, "移到最前；有多条时用换行连接"],
  [/^put it after an assistant message with tool_calls$/, "放在带 tool_calls 的 assistant 消息之后"],
  [/^put a line feed between values$/, "各个值之间换行"],
  [/^put at least one (.*) file into it$/, "至少放入一个 $1 文件"],
  [/^put the file itself in, not a link or device$/, "放入文件本身，而不是链接或设备"],
  [/^answer tool_calls with a tool message first$/, "先用 tool 消息回应 tool_calls"],
  [/^join it with the (\w+) message before it$/, "与前一条 $1 消息合并"],
  [/^let them take turns$/, "让双方轮流发言"],
  [/^let the assistant answer after a tool message$/, "tool 消息之后由 assistant 回答"],
  [/^let chosen and rejected differ in their last message only, or give a prompt$/, "chosen 与 rejected 只应最后一条消息不同，或另给出 prompt"],
  [/^end the input with the question that both answers are for$/, "input 以两个回答共同的问题结尾"],
  [/^an answer is the assistant's$/, "回答来自 assistant"],
  [/^keep the best: (.*); ranked responses belong to a reward model's dataset$/, "只保留最好的：$1；排序的回答属于奖励模型的数据"],
  [/^keep each kind of rows in versions of their own$/, "不同类别的数据行分别放在各自的版本中"],
  [/^it is cut off or damaged: pack it again and upload it anew$/, "文件不完整或已损坏：请重新打包并上传"],
  [/^it is damaged: pack it again and upload it anew$/, "文件已损坏：请重新打包并上传"],
  [/^pack it at most (\d+) : 1, or upload it unpacked$/, "压缩比至多 $1 : 1，或直接上传未压缩的文件"],
  [/^pack it without a password$/, "打包时不要加密码"],
  [/^no archive inside an archive: pack the files themselves$/, "压缩包中不能有压缩包：请直接打包文件"],
  [/^only (.*) files: leave it out$/, "只能有 $1 文件：请去掉它"],
  [/^split it into versions$/, "拆成多个版本"],
  [/^shorten it to (\d+) bytes, or split it into several rows$/, "缩短到 $1 字节以内，或拆成多行"],
  [/^flatten it$/, "减少嵌套层数"],
  [/^save it as UTF-8: (.*)$/, "另存为 UTF-8:$1"],
  [/^save the file as UTF-8$/, "把文件存为 UTF-8"],
  [/^taken off; save as UTF-8 without signature$/, "已去掉；保存时请选不带 BOM 的 UTF-8"],
  [/^taken off$/, "已去掉"],
  [/^the line is cut off: write one whole JSON value in one line$/, "这一行不完整：一行写一个完整的 JSON 值"],
  [/^the file is cut off or a comma is missing; nothing after this line was read$/, "文件不完整或缺少逗号；这一行之后没有读取"],
  [/^mend it there; nothing after this line was read$/, "请在此处修正；这一行之后没有读取"],
  [/^close quotes, and double a quote inside a quoted cell$/, "补全引号；单元格内的引号要写两个"],
];

/** What was found, in the language of the page: its place is told in words, the rest is the row's own. */
export function foundIn(language: "zh" | "en", value: string): string {
  if (language === "en") return value;
  return value.replace(/^column (\d+): /, "第 $1 列：").replace(/^byte (0x\w+) at column (\d+): /, "第 $2 列的字节 $1：").replace(/^(\d+) bytes$/, "$1 字节");
}

/** The fix in the language of the page; as the platform wrote it where it is none of these. */
export function fixIn(language: "zh" | "en", fix: string): string {
  if (language === "en") return fix;
  const found = SAID.find(([form]) => form.test(fix));
  return found === undefined ? fix : fix.replace(...found);
}
