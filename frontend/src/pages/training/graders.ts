// Graders to begin with, and what a text that somebody typed comes to.
import { notJson } from "@/ui/notJson";

export const GRADERS = {
  string_check: { type: "string_check", name: "same", input: "{{sample.output_text}}", reference: "{{item.reference_answer}}", operation: "eq" },
  text_similarity: { type: "text_similarity", name: "like", input: "{{sample.output_text}}", reference: "{{item.reference_answer}}", evaluation_metric: "fuzzy_match" },
  python: { type: "python", name: "own", source: 'def grade(sample, item):\n    return float(sample["output_text"].strip() == item["reference_answer"])\n' },
  multi: {
    type: "multi",
    name: "both",
    graders: {
      same: { type: "string_check", name: "same", input: "{{sample.output_text}}", reference: "{{item.reference_answer}}", operation: "eq" },
      like: { type: "text_similarity", name: "like", input: "{{sample.output_text}}", reference: "{{item.reference_answer}}", evaluation_metric: "fuzzy_match" },
    },
    calculate_output: "0.5 * same + 0.5 * like",
  },
} as const;

export type GraderKind = keyof typeof GRADERS;
export const KINDS = Object.keys(GRADERS) as GraderKind[];

export const textOf = (grader: unknown) => JSON.stringify(grader, null, 2);

/** The grader that a text holds, or why it holds none. */
export function graderOf(text: string): { grader: Record<string, unknown> } | { fault: string } {
  const fault = notJson(text);
  if (fault !== "") return { fault };
  const found: unknown = JSON.parse(text);
  if (typeof found === "object" && found !== null && !Array.isArray(found)) return { grader: found as Record<string, unknown> };
  return { fault: "{}" };
}
