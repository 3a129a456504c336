// What differs between an answer and the reference, piece by piece, for marking.

export type Piece = { text: string; differs: boolean };

// A word, a number, one Chinese character, or one of anything else.
const pieces = (text: string) => text.match(/[A-Za-z]+|\d+|\s+|./gsu) ?? [];
// Longer answers are marked whole rather than compared for seconds.
const MOST = 1_200;

/** The answer in pieces; those that are not in the longest common run of pieces with the reference differ. */
export function marked(answer: string, reference: string): Piece[] {
  if (answer === reference) return answer === "" ? [] : [{ text: answer, differs: false }];
  const a = pieces(answer);
  const b = pieces(reference);
  if (a.length > MOST || b.length > MOST) return [{ text: answer, differs: true }];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const told: Piece[] = [];
  const tell = (text: string, differs: boolean) => {
    const last = told.at(-1);
    if (last?.differs === differs) last.text += text;
    else told.push({ text, differs });
  };
  for (let i = 0, j = 0; i < a.length; ) {
    if (j < b.length && a[i] === b[j]) {
      tell(a[i] ?? "", false);
      i += 1;
      j += 1;
    } else if (j < b.length && at(i, j + 1) >= at(i + 1, j)) j += 1;
    else {
      tell(a[i] ?? "", true);
      i += 1;
    }
  }
  return told;
}
