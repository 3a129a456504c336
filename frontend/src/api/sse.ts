// Server-sent events as they come in pieces: whole `data:` payloads out, the rest kept for the next piece.

/** What is complete in `text`, and what is left over; comments and other fields are passed by. */
export function payloads(text: string): { done: string[]; rest: string } {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  const done = blocks.flatMap((block) => {
    const lines = block.split("\n").filter((line) => line.startsWith("data:"));
    return lines.length === 0 ? [] : [lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n")];
  });
  return { done, rest };
}
