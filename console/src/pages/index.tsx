// Every page of the console and where it stands in the menu; a page that is not listed is not there.
import {
  DatabaseOutlined,
  HomeOutlined,
} from "@ant-design/icons";
import type { ComponentType, ReactNode } from "react";
import type { words } from "@/shell/words";

type Word = Parameters<ReturnType<typeof words.use>>[0];
export type MenuEntry = { path: string; word: Word; icon?: ReactNode; below?: MenuEntry[] };
type Page = { path: string; load: () => Promise<{ default: ComponentType }> };

export const menu: MenuEntry[] = [
  { path: "/", word: "section.home", icon: <HomeOutlined /> },
  { path: "/data", word: "section.data", icon: <DatabaseOutlined /> },
];

export const pages: Page[] = [
  { path: "/", load: () => import("./home/HomePage") },
  { path: "/data", load: () => import("./data/DatasetsPage") },
];

