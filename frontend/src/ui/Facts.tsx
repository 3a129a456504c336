// Facts about one thing: names on the left, values on the right, two or three columns where it fits.
import { Descriptions } from "antd";
import type { ReactNode } from "react";

export function Facts({ facts, label }: { facts: [string, ReactNode][]; label?: string }) {
  return (
    <Descriptions
      className="card"
      aria-label={label}
      size="small"
      column={{ xs: 1, sm: 1, md: 2, xl: 3 }}
      items={facts.map(([name, value]) => ({ key: name, label: name, children: value }))}
    />
  );
}
