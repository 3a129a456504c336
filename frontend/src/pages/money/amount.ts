// Amounts of money: decimals travel as text and are never counted with here, only shown.
import { language } from "@/i18n";

/** `12.340000`, `CNY` → `CN¥12.34`; at least two digits after the point, at most six. */
export function amount(text: string, currency: string): string {
  const form = { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: 6 } as const;
  // As text it keeps every digit that a float would lose.
  return new Intl.NumberFormat(language(), form).format(text as unknown as number);
}

/** How much of a limit is used up, in per cent, for a bar: rounded down, so that 100 means spent. */
export const used = (spent: string, reserved: string, limit: string): number =>
  Number(limit) === 0 ? 100 : Math.floor(((Number(spent) + Number(reserved)) / Number(limit)) * 100);
