// Every page of the console and where it stands in the menu; a page that is not listed is not there.
import { AppstoreOutlined, CodeSandboxOutlined, DatabaseOutlined, HomeOutlined, SettingOutlined } from "@ant-design/icons";
import type { ComponentType, ReactNode } from "react";
import type { Needs } from "@/shell/session";
import type { words } from "@/shell/words";
import { systemMenu, systemPages } from "./administration";
import { workMenu, workPages } from "./work";

type Word = Parameters<ReturnType<typeof words.use>>[0];
export type MenuEntry = { path: string; word: Word; icon?: ReactNode; below?: MenuEntry[]; /** Who may not even look does not see it. */ needs?: Needs };
export type PageEntry = { path: string; load: () => Promise<{ default: ComponentType }> };

export const menu: MenuEntry[] = [
  { path: "/", word: "section.home", icon: <HomeOutlined /> },
  { path: "/plaza", word: "section.plaza", icon: <AppstoreOutlined /> },
  { path: "/models", word: "section.models", icon: <CodeSandboxOutlined /> },
  { path: "/data", word: "section.data", icon: <DatabaseOutlined /> },
  ...workMenu,
  {
    path: "/system",
    word: "section.system",
    icon: <SettingOutlined />,
    below: systemMenu,
  },
];

export const pages: PageEntry[] = [
  { path: "/", load: () => import("./home/HomePage") },
  { path: "/data", load: () => import("./data/DatasetsPage") },
  { path: "/data/:id", load: () => import("./data/DatasetPage") },
  { path: "/data/:id/versions/:version", load: () => import("./data/VersionPage") },
  { path: "/plaza", load: () => import("./models/PlazaPage") },
  { path: "/requests/:id", load: () => import("./models/RequestPage") },
  { path: "/models", load: () => import("./models/ModelsPage") },
  { path: "/models/:id", load: () => import("./models/ModelPage") },
  { path: "/models/:id/versions/:version", load: () => import("./models/VersionPage") },
  ...workPages,
  ...systemPages,
];

