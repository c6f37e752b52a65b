import { defineConfig } from "@playwright/test";

export default defineConfig({ testMatch: "*.spec.ts", globalSetup: "realtape/setup", outputDir: "../../../build/playwright" });
