// Figures as people read them: bytes, counts, times, durations, shortened hashes.
import { Tooltip, Typography } from "antd";
import { useEffect, useState } from "react";
import { language } from "@/i18n";

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const power = Math.min(5, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${["", "kB", "MB", "GB", "TB", "PB"][power] ?? ""}`;
}

export const count = (value: number) => new Intl.NumberFormat(language()).format(value);

/** A length in tokens, with its unit. */
export const tokens = (value: number) => `${count(value)} ${language() === "en" ? "tokens" : "词元"}`;

/** A big count in short: 3.9 M. */
export const short = (value: number) =>
  new Intl.NumberFormat(language(), { notation: "compact", maximumFractionDigits: 1 }).format(value);

export function seconds(value: number): string {
  const [h, min, s] = language() === "en" ? [" h", " min", " s"] : [" 小时", " 分", " 秒"];
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)}${s}`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)}${min} ${whole % 60}${s}`;
  return `${Math.floor(whole / 3600)}${h} ${Math.floor((whole % 3600) / 60)}${min}`;
}

export const dateTime = (at: string) =>
  new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(at));

/** The day or hour of UTC that sums are of, wherever the reader is. */
export const bucketOf = (at: string, bucket: "day" | "hour") =>
  new Intl.DateTimeFormat(language(), { dateStyle: "medium", ...(bucket === "hour" && { timeStyle: "short" }), timeZone: "UTC" }).format(new Date(at));

/** Now, in milliseconds, told anew every `every` milliseconds. */
export function useNow(every = 20_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** How long ago or ahead, with the exact time when the pointer rests on it. */
export function When({ at }: { at: string | null | undefined }) {
  const now = useNow();
  if (at === null || at === undefined) return <>–</>;
  const told = (new Date(at).getTime() - now) / 1000;
  // Told since the last tick of this clock, which is no future.
  const ahead = told > 0 && told < 20 ? 0 : told;
  const [unit, size] =
    Math.abs(ahead) < 60 ? (["second", 1] as const)
    : Math.abs(ahead) < 3600 ? (["minute", 60] as const)
    : Math.abs(ahead) < 86_400 ? (["hour", 3600] as const)
    : (["day", 86_400] as const);
  const said = new Intl.RelativeTimeFormat(language(), { numeric: "auto" }).format(Math.round(ahead / size), unit);
  return (
    <time dateTime={at} title={dateTime(at)}>
      {said}
    </time>
  );
}

/** A hash or id: its start is shown, all of it is copied. */
export function Hash({ value, length = 12 }: { value: string; length?: number }) {
  if (value === "") return <>–</>;
  return (
    <Tooltip title={value}>
      <Typography.Text className="mono" copyable={{ text: value, tooltips: false }}>
        {value.slice(0, length)}
      </Typography.Text>
    </Tooltip>
  );
}
