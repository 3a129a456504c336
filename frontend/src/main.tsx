// Starts the console: theme, queries, session, routes.
import "./shell/nonce";
import { QueryClientProvider } from "@tanstack/react-query";
import { type ComponentType, lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import "./i18n";
import "./shell/console.css";
import { queries } from "./api/client";
import { router } from "./routes";
import { SessionGate } from "./shell/session";
import { ThemeProvider } from "./shell/theme";

/** Pages for who is not signed in. */
const OUTSIDE: Record<string, ComponentType> = {
  "/invite": lazy(() => import("./shell/Invited").then((found) => ({ default: found.Invited }))),
  "/sign-up": lazy(() => import("./shell/SignUp").then((found) => ({ default: found.SignUp }))),
  "/forgotten": lazy(() => import("./shell/Letters").then((found) => ({ default: found.Forgotten }))),
  "/new-password": lazy(() => import("./shell/Letters").then((found) => ({ default: found.NewPassword }))),
  "/address": lazy(() => import("./shell/Letters").then((found) => ({ default: found.ProveAddress }))),
  "/set-up": lazy(() => import("./shell/SetUp").then((found) => ({ default: found.SetUp }))),
};
const Outside = OUTSIDE[location.pathname];
const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <ThemeProvider>
        {Outside !== undefined ? (
          <Suspense fallback={null}>
            <Outside />
          </Suspense>
        ) : (
          <SessionGate>
            <RouterProvider router={router} />
          </SessionGate>
        )}
      </ThemeProvider>
    </QueryClientProvider>
  </StrictMode>,
);
