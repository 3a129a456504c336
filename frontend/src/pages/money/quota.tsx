// How limits are said, and how their figures travel: money as text, rates as whole numbers.
import { count } from "@/ui/figures";
import { amount } from "./amount";
import { words } from "./quotaWords";

type Limit = { kind: "budget" | "rate" | "house"; scope: Record<string, string>; about: string };
export type Figures = Record<string, unknown>;

/** A limit in the language of the page; as the platform wrote it where it does not say what it is of. */
export function useSaid(): (limit: Limit) => string {
  const t = words.use();
  return ({ kind, scope, about }) => {
    const { reach, period, model } = scope;
    if (reach === undefined) return about;
    if (kind === "budget") return t(`said.budget.${reach as "project"}.${period === "month" ? "month" : "total"}`);
    const limit = kind === "house" ? t("said.house") : t(`said.rate.${reach as "key"}`);
    return model === undefined || model === "" ? limit : t("said.of_model", { limit, model });
  };
}

/** Figures of a limit in words: `CN¥500.00`, or `Requests a minute 60 · At once 4`. */
export function useFigures(): (figures: Figures, currency: string) => string {
  const t = words.use();
  return (figures, currency) =>
    Object.entries(figures)
      .map(([name, value]) => (name === "limit" ? amount(String(value), currency) : `${t(`field.${name as "at_once"}`)} ${count(Number(value))}`))
      .join(" · ");
}

/** The same, a line each. */
export function Lines({ figures, currency }: { figures: Figures; currency: string }) {
  const said = useFigures();
  return Object.entries(figures).map(([name, value]) => (
    <div key={name} className="number">
      {said({ [name]: value }, currency)}
    </div>
  ));
}

/** What was filled in, without the fields that were left empty. */
export const filled = (given: Figures): Figures => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== ""));

/** An instant as a field of local date and time takes it: to the minute. */
export function fieldOf(at: string | null): string | undefined {
  if (at === null) return undefined;
  const then = new Date(at);
  return new Date(then.getTime() - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The instant that a field of local date and time means; null where it is empty. */
export const instantOf = (field: string | undefined): string | null => (field === undefined || field === "" ? null : new Date(field).toISOString());
