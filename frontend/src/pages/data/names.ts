// A dataset's name made of a file's: what the rule for names does not allow becomes a dash.
export const nameOf = (file: string) =>
  file
    .replace(/(\.(jsonl|json|csv|gz|zip|txt))+$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "")
    .slice(0, 63);
