// What runs, what waits and why, and the first steps.
import { Page } from "@/ui/Page";
import { words } from "./words";

export default function HomePage() {
  const t = words.use();
  return <Page title={t("title")}>{null}</Page>;
}
