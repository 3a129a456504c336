// Amounts of money: decimals travel as text and are never counted with here, only shown.
import { language } from "@/i18n";

/** `12.340000`, `CNY` → `CN¥12.34`; at least two digits after the point, at most six. */
export function amount(text: string, currency: string): string {
  const form = { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: 6 } as const;
  // As text it keeps every digit that a float would lose.
  return new Intl.NumberFormat(language(), form).format(text as unknown as number);
}

/** `0.1`, 3 → `0.300000`: an amount so many times, to the millionth. */
export const times = (text: string, many: number): string => {
  const [whole = "0", part = ""] = text.split(".");
  const millionths = BigInt(whole + part.padEnd(6, "0").slice(0, 6)) * BigInt(many);
  const digits = String(millionths).padStart(7, "0");
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`;
};

/** How much of a limit is used up, in per cent, for a bar: rounded down, so that 100 means spent. */
export const used = (spent: string, reserved: string, limit: string): number =>
  Number(limit) === 0 ? 100 : Math.floor(((Number(spent) + Number(reserved)) / Number(limit)) * 100);
