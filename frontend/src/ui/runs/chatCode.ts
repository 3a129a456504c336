// A question to a deployed model as code: the `openai` package, and curl.
type Message = { role: string; content: string };
type Sampling = Record<string, number | undefined>;

/** JSON that Python reads as well: it holds strings and numbers alone. */
const literal = (value: unknown) => JSON.stringify(value, null, 4);

export function chatCode(origin: string, model: string, messages: Message[], sampling: Sampling = {}): { name: string; text: string }[] {
  const set = Object.entries(sampling).filter(([, value]) => value !== undefined);
  const body = JSON.stringify({ model, messages, ...Object.fromEntries(set) }, null, 2).replaceAll("'", `'\\''`);
  return [
    {
      name: "Python",
      text: [
        "import os",
        "",
        "from openai import OpenAI",
        "",
        `client = OpenAI(base_url="${origin}/v1", api_key=os.environ["SLIPWAY_API_KEY"])`,
        "answer = client.chat.completions.create(",
        `    model=${JSON.stringify(model)},`,
        `    messages=${literal(messages).replaceAll("\n", "\n    ")},`,
        ...set.map(([name, value]) => `    ${name}=${JSON.stringify(value)},`),
        ")",
        "print(answer.choices[0].message.content)",
      ].join("\n"),
    },
    {
      name: "curl",
      text: [
        `curl ${origin}/v1/chat/completions \\`,
        `  -H "Authorization: Bearer $SLIPWAY_API_KEY" \\`,
        "  -H 'Content-Type: application/json' \\",
        `  -d '${body}'`,
      ].join("\n"),
    },
  ];
}
