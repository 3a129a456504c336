import i18next from "i18next";
import { expect, test, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => "zh", setItem: () => undefined });
vi.stubGlobal("navigator", { language: "zh-CN" });
vi.stubGlobal("document", { documentElement: {} });
const { said } = await import("./said");

test("what the platform says is Chinese where the page is, with its names and figures; else as it stands", async () => {
  await i18next.changeLanguage("zh");
  expect(said("checkpoint at step 60")).toBe("第 60 步的检查点");
  expect(said("second in the queue, behind line-1, which is at step 3 of 80")).toBe("排在 line-1 之后（它已到第 3 步，共 80 步）");
  expect(said("asked for by 小美")).toBe("由 小美 新建");
  expect(said("Out of memory: halve batch_size.")).toBe("Out of memory: halve batch_size.");
  await i18next.changeLanguage("en");
  expect(said("checkpoint at step 60")).toBe("checkpoint at step 60");
});
