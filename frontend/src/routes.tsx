// Turns the list of pages into routes; each page is fetched when it is first opened.
import { createBrowserRouter } from "react-router";
import { pages } from "./pages";
import { BrokenPage, MissingPage } from "./shell/BrokenPage";
import { Frame } from "./shell/Frame";

export const router = createBrowserRouter([
  {
    element: <Frame />,
    errorElement: <BrokenPage />,
    children: [
      {
        errorElement: <BrokenPage />,
        HydrateFallback: () => null,
        children: [
          ...pages.map(({ path, load }) => ({
            path,
            lazy: async () => ({ Component: (await load()).default }),
          })),
          { path: "*", element: <MissingPage /> },
        ],
      },
    ],
  },
]);
