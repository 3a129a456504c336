// Starts the console: theme, queries, session, routes.
import "./shell/nonce";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import "./i18n";
import "./shell/console.css";
import { queries } from "./api/client";
import { router } from "./routes";
import { SessionGate } from "./shell/session";
import { ThemeProvider } from "./shell/theme";

const SignUp = lazy(() => import("./shell/SignUp").then((found) => ({ default: found.SignUp })));
const Invited = lazy(() => import("./shell/Invited").then((found) => ({ default: found.Invited })));
const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <ThemeProvider>
        {location.pathname === "/invite" || location.pathname === "/sign-up" ? (
          <Suspense fallback={null}>{location.pathname === "/invite" ? <Invited /> : <SignUp />}</Suspense>
        ) : (
          <SessionGate>
            <RouterProvider router={router} />
          </SessionGate>
        )}
      </ThemeProvider>
    </QueryClientProvider>
  </StrictMode>,
);
