// Shares of a traffic rule: whole percents that come to 100.
type Share = { percent?: number | null } | undefined;

/** What is missing to 100; negative where there is too much. */
export const left = (targets: Share[]): number => 100 - targets.reduce((all, each) => all + (each?.percent ?? 0), 0);
