// The story page: every part of `ui` in one language and theme, or all four beside each other; no part of the product.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { MemoryRouter } from "react-router";
import "@/i18n";
import { speak } from "@/i18n";
import "@/shell/console.css";
import "@/ui/runs/runs.css";
import "./stories.css";
import { ThemeProvider } from "@/shell/theme";
import { FourFrames } from "./FourFrames";
import { Stories } from "./Stories";

const asked = new URLSearchParams(location.search);
const language = asked.get("language");
if (language === "zh" || language === "en") speak(language);
const root = document.getElementById("root");
if (root === null) throw new Error("stories.html has no #root");
createRoot(root).render(
  <StrictMode>
    {language === null ? (
      <FourFrames />
    ) : (
      <ThemeProvider only={asked.get("theme") === "dark"}>
        <MemoryRouter>
          <Stories />
        </MemoryRouter>
      </ThemeProvider>
    )}
  </StrictMode>,
);
