// The order in which answers are shown to who rates them blindly: another one for each row, always the same for one row.

/** FNV-1a: a hash that is good enough to shuffle by. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value;
}

export const shuffled = <Candidate extends { version_id: string }>(candidates: Candidate[], line: number): Candidate[] =>
  [...candidates].sort((a, b) => hash(`${line}/${a.version_id}`) - hash(`${line}/${b.version_id}`));
