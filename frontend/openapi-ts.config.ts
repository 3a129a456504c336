// The typed client is made from the document that the platform serves; it is never edited.
import { defineConfig } from "@hey-api/openapi-ts";

export default defineConfig({
  input: "./openapi.json",
  output: { path: "src/api/generated", clean: true },
  logs: { level: "warn" },
  plugins: [
    { name: "@hey-api/client-fetch", throwOnError: true },
    "@hey-api/typescript",
    { name: "@hey-api/sdk", paramsStructure: "grouped" },
    "@tanstack/react-query",
  ],
});
