import { expect, test } from "vitest";
import { monthsOf, optionOf, read, textOf } from "./spec";
import { BadTable, cells, monthly, tableOf } from "./table";

const CSV = 'region,month,sales,"return, rate"\r\nNorth,2019-03,1.5,2\nNorth,2019/4,"1,000",\nSouth,2020-01,7,3\n';
const table = tableOf(CSV);
const aliases = { "北": "North", "销售额": "sales" };
const answer = (change: object = {}) => JSON.stringify({ region: "北", period: "2019-Q1", metric: "销售额", chart: "line", ...change });

test("CSV is read with quotes, other separators and a byte order mark", () => {
  expect(table).toMatchObject({ names: "region", months: "month", metrics: ["sales", "return, rate"] });
  expect(cells('\uFEFFa;b\n"x ""y""";2')).toEqual([["a", "b"], ['x "y"', "2"]]);
  expect(() => cells('a,b\n"x,2')).toThrow(BadTable);
});

test("a table says what it lacks and where", () => {
  const fault = (text: string) => {
    try {
      tableOf(text);
    } catch (error) {
      return error instanceof BadTable ? [error.fault, error.line] : error;
    }
  };
  expect(fault("")).toEqual(["empty", 0]);
  expect(fault("a,b\n1,2,3")).toEqual(["ragged", 2]);
  expect(fault("a,b\nx,2")).toEqual(["months", 0]);
  expect(fault("m,b\n2019-01,2")).toEqual(["names", 0]);
  expect(fault("m,b\n2019-01,x")).toEqual(["metrics", 0]);
});

test("values are looked up by month, absent ones stay absent", () => {
  expect(monthly(table, "North", "sales", "2019").slice(1, 5)).toEqual([null, 1.5, 1000, null]);
});

test("an answer is understood through aliases, or told what is wrong with it", () => {
  const found = read(answer(), table, aliases);
  expect("drawn" in found && found.drawn).toMatchObject({ name: "North", metric: "sales", year: "2019", months: [1, 2, 3], chart: "line" });
  const fault = (text: string) => {
    const seen = read(text, table, aliases);
    return "fault" in seen ? seen.fault.field : null;
  };
  expect(fault("Try another question")).toBe("answer");
  expect(fault(answer({ region: "<img>" }))).toBe("region");
  expect(fault(answer({ period: "2019-13" }))).toBe("period");
  expect(fault(answer({ period: "2018" }))).toBe("period");
  expect(fault(answer({ metric: "x" }))).toBe("metric");
  expect(fault(answer({ chart: "radar" }))).toBe("chart");
});

test("periods are years, quarters and months", () => {
  expect(monthsOf("2019")?.months).toHaveLength(12);
  expect(monthsOf("2019-Q4")).toEqual({ year: "2019", months: [10, 11, 12] });
  expect(monthsOf("2019-07")?.months).toEqual([7]);
  expect(monthsOf("19")).toBeNull();
});

test("the drawing has the table's values, and a labelled row has the fields in their order", () => {
  const found = read(answer({ chart: "bar" }), table, aliases);
  if (!("drawn" in found)) throw new Error("not read");
  const option = optionOf(found.drawn, Array.from({ length: 12 }, (_, at) => String(at + 1)), { asked: "a", other: "o", text: "t" });
  const [series] = option.series as [{ data: { value: number | null; itemStyle: { color: string } }[] }];
  expect(series.data.map((each) => each.value).slice(2, 4)).toEqual([1.5, 1000]);
  expect(series.data.map((each) => each.itemStyle.color).slice(2, 4)).toEqual(["a", "o"]);
  expect(textOf({ chart: "bar", metric: "销售额", period: "2019", region: "北" })).toBe('{"region":"北","period":"2019","metric":"销售额","chart":"bar"}');
});
