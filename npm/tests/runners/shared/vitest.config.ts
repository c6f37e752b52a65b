import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["*.test.ts"], globalSetup: "realtape/setup", testTimeout: 30_000, hookTimeout: 60_000 } });
