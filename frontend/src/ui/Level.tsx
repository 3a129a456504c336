// How far somebody may go in a module, in a word and a colour.
import { Tag } from "antd";
import { words } from "./words";

const COLOURS: Record<string, string> = { full: "red", operate: "blue", read: "default" };

export function Level({ level }: { level: string | undefined }) {
  const t = words.use();
  if (level === undefined || level === "none") return <span className="quiet">–</span>;
  const known = level === "read" || level === "operate" || level === "full";
  return <Tag color={COLOURS[level] ?? "default"}>{known ? t(`level.${level}`) : level}</Tag>;
}
