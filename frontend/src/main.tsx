// Starts the console: theme, queries, session, routes.
import "./shell/nonce";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import "./i18n";
import "./shell/console.css";
import { queries } from "./api/client";
import { router } from "./routes";
import { Invited } from "./shell/Invited";
import { SessionGate } from "./shell/session";
import { ThemeProvider } from "./shell/theme";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <ThemeProvider>
        {location.pathname === "/invite" ? (
          <Invited />
        ) : (
          <SessionGate>
            <RouterProvider router={router} />
          </SessionGate>
        )}
      </ThemeProvider>
    </QueryClientProvider>
  </StrictMode>,
);
