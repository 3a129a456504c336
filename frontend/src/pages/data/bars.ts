// Bars of how long rows are, as an ECharts option.

export const span = ({ low, high }: { low: number; high: number }) => (low === high ? String(low) : `${low}–${high}`);

export const bars = (names: string[], values: number[]) => ({
  xAxis: { type: "category", data: names },
  yAxis: { type: "value" },
  series: [{ type: "bar", data: values, barMaxWidth: 48, label: { show: true, position: "top" } }],
});
