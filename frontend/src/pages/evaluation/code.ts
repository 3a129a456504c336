// The same evaluation as code: REST, and the command line where it can say all of it.
import type { EvalIn } from "@/api/generated/types.gen";
import type { Code } from "@/ui/runs/CodeTabs";

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export function codeOf(ask: EvalIn): Code[] {
  const rest = [
    `curl ${location.origin}/api/v1/evals \\`,
    `  -H "Authorization: Bearer $SLIPWAY_API_KEY" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d ${quote(JSON.stringify(ask, null, 2))}`,
  ];
  const options = [
    `--name ${quote(ask.name)}`,
    ...ask.candidates.map((each) => `--model ${each}`),
    `--dataset ${ask.dataset}`,
    ...(ask.metrics ?? []).map((each) => `--metric ${each}`),
    `--max-tokens ${ask.max_tokens ?? 256}`,
  ];
  return [
    { name: "REST", text: rest.join("\n") },
    // The command line takes no gate.
    ...((ask.gate ?? []).length > 0 ? [] : [{ name: "CLI", text: ["slipway evals create", ...options].join(" \\\n  ") }]),
  ];
}
