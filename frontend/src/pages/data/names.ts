// A dataset's name made of a file's: what the rule for names does not allow becomes a dash.
export const nameOf = (file: string) =>
  file
    .replace(/(\.(jsonl|json|csv|gz|zip|txt))+$/i, "")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .slice(0, 63)
    .replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
