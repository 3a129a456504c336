// Where the boxes of a layered graph stand: columns by distance from the roots, spread evenly down each.
export type Box = { id: string; kind: string; label: string; to?: string };
export type Arrow = { from: string; to: string };
type Point = { x: number; y: number };
export type Placed = Box & Point;

/** Pixels a box takes. */
export const BOX = [148, 52] as const;
/** Pixels from one column to the next, and from one box to the one below. */
const [NEAREST, WIDEST] = [166, 210];
const HIGH = 72;

/** A column behind every box that points to it; within a column, as they are given. In pixels, with the outermost corners of the boxes. */
export function placed(boxes: Box[], arrows: Arrow[]): { boxes: Placed[]; corners: [Point, Point] } {
  const column = new Map(boxes.map((each) => [each.id, 0]));
  // As many rounds as there are boxes: a longer way would be a circle.
  for (let round = 0; round < boxes.length; round += 1) {
    for (const { from, to } of arrows) column.set(to, Math.max(column.get(to) ?? 0, (column.get(from) ?? 0) + 1));
  }
  const columns = new Map<number, Box[]>();
  for (const box of boxes) {
    const at = Math.min(column.get(box.id) ?? 0, boxes.length);
    columns.set(at, [...(columns.get(at) ?? []), box]);
  }
  const most = Math.max(1, ...[...columns.values()].map((each) => each.length));
  // Six columns fit a laptop; more are scrolled.
  const wide = Math.max(NEAREST, Math.min(WIDEST, Math.floor((5 * NEAREST) / Math.max(1, columns.size - 1))));
  const down = (most - 1) * HIGH;
  return {
    boxes: [...columns].flatMap(([at, here]) => here.map((box, index) => ({ ...box, x: at * wide, y: (index - (here.length - 1) / 2) * HIGH }))),
    corners: [
      { x: -BOX[0] / 2, y: -(down + BOX[1]) / 2 },
      { x: (columns.size - 1) * wide + BOX[0] / 2, y: (down + BOX[1]) / 2 },
    ],
  };
}

/** The start of a text that fits `wide` half-width characters; a Chinese character takes two. */
export function fitting(text: string, wide: number): string {
  const wideOf = (each: string) => (/[\u1100-\uffff]/.test(each) ? 2 : 1);
  let whole = 0;
  let kept = "";
  for (const each of text) {
    whole += wideOf(each);
    // The last place is the ellipsis's.
    if (whole < wide) kept += each;
  }
  return whole <= wide ? text : `${kept}…`;
}
