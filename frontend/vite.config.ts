// How the console is built: hashed files below /assets, each also gzipped for the control plane.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const gzipped = (): Plugin => ({
  name: "gzipped",
  apply: "build",
  closeBundle() {
    const folder = join(import.meta.dirname, "dist/assets");
    for (const name of readdirSync(folder).filter((each) => /\.(js|css|svg)$/.test(each))) {
      const path = join(folder, name);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    }
  },
});

export default defineConfig({
  plugins: [react(), gzipped()],
  resolve: { alias: { "@": join(import.meta.dirname, "src") } },
  // The control plane writes a fresh nonce in its place with every answer.
  html: { cspNonce: "NONCE-OF-THIS-ANSWER" },
  build: { manifest: true, chunkSizeWarningLimit: 1200, assetsInlineLimit: 0 },
  server: {
    // The example table is the demonstration's own file, outside this folder.
    fs: { allow: [".."] },
    // The host stays what the browser called, or the platform takes requests for forged ones.
    proxy: Object.fromEntries(
      ["/api", "/v1", "/storage"].map((path) => [path, { target: process.env.SLIPWAY_URL ?? "http://127.0.0.1:8000", changeOrigin: false }]),
    ),
  },
});
