// Totals as the API gives them, one row a time and group, turned into one line of values a group.
type Total = { start: string; group: Record<string, unknown>; prompt_tokens: number; completion_tokens: number };

const nameOf = (row: Total) => Object.values(row.group).map(String).join(" · ") || "–";

export function series(rows: Total[]): { times: string[]; names: string[]; values: (name: string) => number[] } {
  const times = [...new Set(rows.map((row) => row.start))].sort();
  const names = [...new Set(rows.map(nameOf))].sort();
  const tokens = new Map(rows.map((row) => [`${row.start} ${nameOf(row)}`, row.prompt_tokens + row.completion_tokens]));
  return { times, names, values: (name) => times.map((time) => tokens.get(`${time} ${name}`) ?? 0) };
}
