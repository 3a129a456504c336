// A small table that questions are asked of: read from CSV, its columns told apart, its values looked up.

export type Table = {
  columns: string[];
  rows: string[][];
  /** The column of names (regions, shops, products …), and the one of months. */
  names: string;
  months: string;
  metrics: string[];
};
export type Aliases = Record<string, string>;

const MOST_ROWS = 100_000;
const MONTH = /^(\d{4})[-/.](\d{1,2})([-/.]\d{1,2})?$/;

export class BadTable extends Error {
  readonly line: number;
  readonly fault: "empty" | "ragged" | "months" | "names" | "metrics" | "long" | "quote";
  constructor(fault: BadTable["fault"], line = 0) {
    super(fault);
    this.fault = fault;
    this.line = line;
  }
}

/** Cells of a CSV text (RFC 4180; commas, semicolons or tabs), without blank lines. */
export function cells(text: string): string[][] {
  const plain = text.replace(/^\uFEFF/, "");
  const head = plain.slice(0, plain.search(/\r?\n|$/));
  const separator = ["\t", ";", ","].sort((a, b) => head.split(b).length - head.split(a).length)[0] ?? ",";
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < plain.length; at += 1) {
    const sign = plain.charAt(at);
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (plain[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === separator) {
      row.push(cell.trim());
      cell = "";
    } else if (sign === "\n") {
      row.push(cell.trim());
      if (row.some((each) => each !== "")) rows.push(row);
      row = [];
      cell = "";
    } else if (sign !== "\r") cell += sign;
  }
  if (quoted) throw new BadTable("quote", rows.length + 1);
  row.push(cell.trim());
  if (row.some((each) => each !== "")) rows.push(row);
  return rows;
}

const isNumber = (text: string) => text !== "" && Number.isFinite(Number(text.replaceAll(",", "")));

/** The month a cell names as `2019-03`, or null. */
export function month(text: string): string | null {
  const [, year, number] = MONTH.exec(text) ?? [];
  const value = Number(number);
  return year === undefined || value < 1 || value > 12 ? null : `${year}-${String(value).padStart(2, "0")}`;
}

/** A table of names, months and figures; BadTable says what is missing and in which line. */
export function tableOf(text: string): Table {
  const [columns, ...rows] = cells(text);
  if (columns === undefined || rows.length === 0) throw new BadTable("empty");
  if (rows.length > MOST_ROWS) throw new BadTable("long", rows.length);
  const ragged = rows.findIndex((row) => row.length !== columns.length);
  if (ragged >= 0) throw new BadTable("ragged", ragged + 2);
  const all = (index: number, fits: (cell: string) => boolean) => rows.every((row) => fits(row[index] ?? ""));
  const months = columns.findIndex((_, index) => all(index, (cell) => month(cell) !== null));
  if (months < 0) throw new BadTable("months");
  const metrics = columns.filter((_, index) => index !== months && all(index, (cell) => cell === "" || isNumber(cell)));
  const names = columns.findIndex((name, index) => index !== months && !metrics.includes(name));
  if (names < 0) throw new BadTable("names");
  if (metrics.length === 0) throw new BadTable("metrics");
  return { columns, rows, names: columns[names] ?? "", months: columns[months] ?? "", metrics };
}

export const namesIn = (table: Table): string[] => {
  const at = table.columns.indexOf(table.names);
  return [...new Set(table.rows.map((row) => row[at] ?? ""))];
};

export const yearsIn = (table: Table): string[] => {
  const at = table.columns.indexOf(table.months);
  return [...new Set(table.rows.map((row) => (month(row[at] ?? "") ?? "").slice(0, 4)))].sort();
};

/** The word of the table that is meant by `word`, straight or by an alias; undefined if none is. */
export function meant(word: string, known: string[], aliases: Aliases): string | undefined {
  const plain = word.trim().toLowerCase();
  const other = aliases[word.trim()]?.toLowerCase();
  return known.find((each) => each.toLowerCase() === plain) ?? known.find((each) => each.toLowerCase() === other);
}

/** The metric's values by month of a year, January first; null where the table has none. Values of one month add up. */
export function monthly(table: Table, name: string, metric: string, year: string): (number | null)[] {
  const [n, m, v] = [table.names, table.months, metric].map((each) => table.columns.indexOf(each)) as [number, number, number];
  const values: (number | null)[] = Array.from({ length: 12 }, () => null);
  for (const row of table.rows) {
    const when = month(row[m] ?? "");
    const value = row[v] ?? "";
    if (row[n] !== name || when?.startsWith(year) !== true || value === "") continue;
    const index = Number(when.slice(5)) - 1;
    values[index] = (values[index] ?? 0) + Number(value.replaceAll(",", ""));
  }
  return values;
}
