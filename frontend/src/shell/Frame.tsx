// The frame around every page: menu, project, person, and the place where pages appear.
import { DownOutlined, MenuOutlined, ReadOutlined, UserOutlined } from "@ant-design/icons";
import { Button, Drawer, Dropdown, Grid, Layout, Menu, Space } from "antd";
import { type ReactNode, useRef, useState } from "react";
import { Link, Outlet, useLocation, useNavigation } from "react-router";
import { menu, type MenuEntry } from "@/pages";
import { Choices } from "./Choices";
import { useMay, useSession } from "./session";
import { useTheme } from "./theme";
import { words } from "./words";

type Item = { key: string; icon: ReactNode; label: ReactNode; children?: Item[] };

const all = menu.flatMap((entry) => [entry, ...(entry.below ?? [])]);

/** The menu entry that a path belongs to: the longest that it starts with. */
function entryOf(path: string): string {
  const fits = all.filter((each) => each.below === undefined && each.path !== "/" && `${path}/`.startsWith(`${each.path}/`));
  return fits.sort((a, b) => b.path.length - a.path.length)[0]?.path ?? (path === "/" ? "/" : "");
}

function MainMenu({ onChoice }: { onChoice?: () => void }) {
  const t = words.use();
  const { pathname } = useLocation();
  const may = useMay();
  const shown = (entries: MenuEntry[]) => entries.filter((each) => each.needs === undefined || may(...each.needs));
  const item = (entry: MenuEntry): Item =>
    entry.below === undefined
      ? { key: entry.path, icon: entry.icon, label: <Link to={entry.path}>{t(entry.word)}</Link> }
      : { key: entry.path, icon: entry.icon, label: t(entry.word), children: shown(entry.below).map(item) };
  return (
    <nav aria-label={t("menu")}>
      <Menu
        mode="inline"
        items={shown(menu).map(item)}
        onClick={onChoice}
        selectedKeys={[entryOf(pathname)]}
        defaultOpenKeys={menu.filter((each) => each.below).map((each) => each.path)}
      />
    </nav>
  );
}

function Brand() {
  return (
    <Link to="/" className="brand">
      <img src="/assets/slipway.svg" alt="" width={26} height={26} /> Slipway
    </Link>
  );
}

export function Frame() {
  const t = words.use();
  const session = useSession();
  const { dark } = useTheme();
  const wide = Grid.useBreakpoint().lg !== false;
  const [open, setOpen] = useState(false);
  const loading = useNavigation().state === "loading";
  const main = useRef<HTMLElement>(null);
  return (
    <Layout className="frame">
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        {t("skip")}
      </a>
      {wide ? (
        <Layout.Sider theme={dark ? "dark" : "light"} width={208} className="side">
          <Brand />
          <MainMenu />
        </Layout.Sider>
      ) : (
        <Drawer placement="left" size={240} open={open} onClose={() => setOpen(false)} title={<Brand />}>
          <MainMenu onChoice={() => setOpen(false)} />
        </Drawer>
      )}
      <Layout>
        <Layout.Header className="head">
          {!wide && <Button type="text" icon={<MenuOutlined />} aria-label={t("menu")} onClick={() => setOpen(true)} />}
          <Dropdown
            autoFocus
            trigger={["click"]}
            menu={{
              selectedKeys: [session.project.id],
              items: session.projects.map((each) => ({
                key: each.id,
                label: `${each.organisation} / ${each.name}`,
                onClick: () => session.switchTo(each.id),
              })),
            }}
          >
            <Button type="text" className="project" title={t("project")}>
              {session.project.organisation} / {session.project.name} <DownOutlined />
            </Button>
          </Dropdown>
          <Space size={4} className="head-end">
            <Choices />
            <Button type="text" icon={<ReadOutlined />} href="/api/v1/docs" target="_blank" aria-label={t("docs")} title={t("docs")} />
            <Dropdown
              autoFocus
              trigger={["click"]}
              menu={{ items: [{ key: "account", label: <Link to="/account">{t("account")}</Link> }, { key: "out", label: t("signout"), onClick: session.signOut }] }}
            >
              <Button type="text" icon={<UserOutlined />}>
                {session.user}
              </Button>
            </Dropdown>
          </Space>
        </Layout.Header>
        <main id="main" ref={main} tabIndex={-1} className="main" aria-busy={loading}>
          <Outlet />
        </main>
      </Layout>
    </Layout>
  );
}
