// A list of any length of which only what is seen exists; rows are asked for by number as they come into sight.
import { type ReactNode, useEffect, useRef, useState } from "react";

type Props = {
  count: number;
  label: string;
  columns: string;
  /** What stands at this number, or null while it is on its way. */
  cells: (index: number) => ReactNode;
  /** Told which rows are in sight, first and past the last, whenever that changes. */
  onSight: (range: [number, number]) => void;
  onOpen: (index: number) => void;
};

const HEIGHT = 40;
// Rows that a wheel passes in one frame at most, and milliseconds in which a bar that stands has come to rest.
const NEAR = 100;
const REST = 80;
// Browsers draw nothing that is taller than this; a longer list scrolls proportionally.
const TALLEST = 12_000_000;

/** Which rows stand in a window of `view` pixels, `top` pixels down a list drawn `height` pixels tall. */
export function sight(top: number, view: number, count: number): { first: number; last: number; offset: number; height: number } {
  const full = count * HEIGHT;
  const height = Math.min(full, TALLEST);
  const room = Math.max(1, height - view);
  const real = full <= TALLEST ? top : (Math.min(top, room) / room) * (full - view);
  const first = Math.max(0, Math.min(Math.floor(real / HEIGHT), count - 1));
  const last = Math.min(count, first + Math.ceil(view / HEIGHT) + 2);
  return { first, last, offset: top - (real - first * HEIGHT), height };
}

export function VirtualRows({ count, label, columns, cells, onSight, onOpen }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [view, setView] = useState(600);
  const { first, last, offset, height } = sight(top, view, count);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => entry && setView(entry.contentRect.height));
    if (box.current) watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  const told = useRef(0);
  useEffect(() => {
    const tell = () => {
      told.current = first;
      onSight([first, last]);
    };
    // Who draws the bar over a million rows sees none of them before it rests.
    if (Math.abs(first - told.current) <= NEAR) return tell();
    const resting = setTimeout(tell, REST);
    return () => clearTimeout(resting);
  }, [first, last, onSight]);
  return (
    <div className="rows" ref={box} role="list" aria-label={label} tabIndex={0} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <div style={{ height }} role="presentation">
        {Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index).map((number) => (
          <div key={number} role="listitem" aria-setsize={count} aria-posinset={number + 1}>
            <button
              type="button"
              className="rows-row"
              style={{ top: offset + (number - first) * HEIGHT, height: HEIGHT, gridTemplateColumns: columns }}
              onClick={() => onOpen(number)}
            >
              {cells(number)}
            </button>
          </div>
        ))}
      </div>
    </div>
  );
}
