// What the linter asks of the console: strict TypeScript, rules of hooks, and the house's borders.
import hooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** @type {(group: string[], message: string) => import("eslint").Linter.RulesRecord} */
const forbid = (group, message) => ({
  "no-restricted-imports": ["error", { patterns: [{ group, message }] }],
});

export default defineConfig([
  globalIgnores(["dist", "src/api/generated"]),
  tseslint.configs.strictTypeChecked,
  hooks.configs.flat.recommended,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["*.js"] } } },
    rules: {
      "no-console": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      // Handlers of events may be async; what they throw is met by `useDo`.
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
    },
  },
  {
    files: ["src/ui/**"],
    rules: forbid(["@/api/*", "!@/api/refusal", "!@/api/generated", "!@/api/generated/types.gen", "@/pages/*", "@/shell/*", "@tanstack/react-query"], "`ui` draws and never fetches."),
  },
  {
    files: ["src/api/**"],
    rules: forbid(["@/pages/*", "@/ui/*", "@/shell/*"], "`api` knows no page and draws nothing."),
  },
]);
