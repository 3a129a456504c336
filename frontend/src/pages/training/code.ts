// The same fine-tune as code: REST, Python and the command line.
import type { JobIn } from "@/api/generated/types.gen";
import type { Code } from "@/ui/runs/CodeTabs";

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** What was asked for, without what is left to the platform. */
export function plain(ask: JobIn): Record<string, unknown> {
  const all: [string, unknown][] = Object.entries(ask);
  const left = all.filter(([key, value]) => {
    if (value === undefined || value === null || value === "") return false;
    if (key === "hyperparameters") return Object.keys(value).length > 0;
    return true;
  });
  return Object.fromEntries(left);
}

export function codeOf(ask: JobIn): Code[] {
  const body = JSON.stringify(plain(ask), null, 2);
  const here = location.origin;
  const options = [
    ["--name", ask.name],
    ["--base", ask.base],
    ["--dataset", ask.dataset],
    ["--held-out", ask.held_out ?? ""],
    ["--model", ask.model ?? ""],
    ["--method", ask.method ?? ""],
    ["--grader", ask.grader ? "grader.json" : ""],
    ["--scale", ask.scale ?? ""],
    ["--seed", ask.seed === undefined ? "" : String(ask.seed)],
    ["--workers", ask.workers === undefined || ask.workers === 1 ? "" : String(ask.workers)],
    ...Object.entries(ask.hyperparameters ?? {}).map(([key, value]) => ["--set", `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`]),
  ].filter(([, value]) => value !== "");
  return [
    {
      name: "REST",
      text: [
        `curl ${here}/api/v1/jobs \\`,
        `  -H "Authorization: Bearer $SLIPWAY_API_KEY" \\`,
        `  -H 'Content-Type: application/json' \\`,
        `  -d ${quote(body)}`,
      ].join("\n"),
    },
    {
      name: "Python",
      text: [
        "import json, os, time",
        "",
        "import httpx",
        "",
        `key = os.environ["SLIPWAY_API_KEY"]`,
        `http = httpx.Client(base_url="${here}/api/v1", headers={"authorization": f"Bearer {key}"})`,
        `job = http.post("/jobs", json=json.loads(r"""`,
        body,
        `""")).raise_for_status().json()`,
        `while job["phase"] not in {"succeeded", "failed", "cancelled"}:`,
        `    time.sleep(2)`,
        `    job = http.get(f"/jobs/{job['id']}").raise_for_status().json()`,
        `    print(job["phase"], job["progress"]["percent"], job["reason"])`,
      ].join("\n"),
    },
    { name: "CLI", text: [...(ask.grader ? [`cat > grader.json <<'END'\n${JSON.stringify(ask.grader, null, 2)}\nEND\n`] : []), ["slipway jobs create", ...options.map(([name, value]) => `${name} ${quote(value ?? "")}`)].join(" \\\n  ")].join("") },
  ];
}
