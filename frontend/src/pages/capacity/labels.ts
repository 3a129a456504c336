// Labels of nodes as people type them: one `key=value` a line.

export const toText = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join("\n");

export const fromText = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean)
      .map((line) => {
        const [key = "", ...value] = line.split("=");
        return [key.trim(), value.join("=").trim()];
      }),
  );
