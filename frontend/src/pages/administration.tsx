// The pages of who may do what, what it costs, and how the installation stands.
import type { MenuEntry, PageEntry } from "./index";

export const systemMenu: MenuEntry[] = [
  { path: "/system/people", word: "section.people", needs: ["access", "read"] },
  { path: "/system/roles", word: "section.roles" },
  { path: "/system/projects", word: "section.projects", needs: ["organisation", "read"] },
  { path: "/system/keys", word: "section.keys", needs: ["access", "read"] },
  { path: "/system/sign-in", word: "section.signin", needs: ["organisation", "read"] },
  { path: "/system/limits", word: "section.limits", needs: ["access", "read"] },
  { path: "/system/quotas", word: "section.quotas", needs: ["usage", "read"] },
  { path: "/system/capacity", word: "section.capacity", needs: ["usage", "read"] },
  { path: "/system/usage", word: "section.usage", needs: ["usage", "read"] },
  { path: "/system/money", word: "section.money", needs: ["money", "read"] },
  { path: "/system/notices", word: "section.notices", needs: ["access", "read"] },
  { path: "/system/prompts", word: "section.prompts", needs: ["inference", "full"] },
  { path: "/system/audit", word: "section.audit", needs: ["audit", "read"] },
  { path: "/system/licence", word: "section.licence", needs: ["platform", "read"] },
  { path: "/system/health", word: "section.health" },
];

export const systemPages: PageEntry[] = [
  { path: "/system/people", load: () => import("./access/PeoplePage") },
  { path: "/system/roles", load: () => import("./access/RolesPage") },
  { path: "/system/projects", load: () => import("./access/ProjectsPage") },
  { path: "/system/keys", load: () => import("./system/KeysPage") },
  { path: "/account", load: () => import("./access/AccountPage") },
  { path: "/system/sign-in", load: () => import("./access/SignInPage") },
  { path: "/system/limits", load: () => import("./system/LimitsPage") },
  { path: "/system/quotas", load: () => import("./money/QuotasPage") },
  { path: "/system/capacity", load: () => import("./capacity/CapacityPage") },
  { path: "/system/usage", load: () => import("./system/UsagePage") },
  { path: "/system/money", load: () => import("./money/MoneyPage") },
  { path: "/system/notices", load: () => import("./platform/NoticesPage") },
  { path: "/system/prompts", load: () => import("./platform/PromptsPage") },
  { path: "/system/audit", load: () => import("./platform/AuditPage") },
  { path: "/system/licence", load: () => import("./platform/LicencePage") },
  { path: "/system/health", load: () => import("./system/HealthPage") },
];
