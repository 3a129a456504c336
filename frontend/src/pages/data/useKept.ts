// Work on a version that is not sent yet; it survives a reload and a session that ends.
import { useCallback, useState } from "react";

function read<Value>(name: string): Record<number, Value> {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? "{}") as Record<number, Value>;
  } catch {
    return {};
  }
}

/** Values by number under a name, kept in this tab; `set` with undefined forgets one, `clear` all. */
export function useKept<Value>(name: string) {
  const [kept, setKept] = useState<Record<number, Value>>(() => read(name));
  const store = useCallback(
    (next: Record<number, Value>) => {
      try {
        sessionStorage.setItem(name, JSON.stringify(next));
      } catch {
        // Full: it is still here, only a reload would lose it.
      }
      return next;
    },
    [name],
  );
  const set = useCallback(
    (number: number, value: Value | undefined) =>
      setKept((now) => {
        const rest = Object.fromEntries(Object.entries(now).filter(([each]) => Number(each) !== number)) as Record<number, Value>;
        return store(value === undefined ? rest : { ...rest, [number]: value });
      }),
    [store],
  );
  const clear = useCallback(() => setKept(store({})), [store]);
  return { kept, set, clear, size: Object.keys(kept).length };
}
