import { defineConfig } from "@playwright/test";

// CHROMIUM names a browser of this machine; without it, Playwright's own is used.
const launchOptions = process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] } : {};

export default defineConfig({ testMatch: "*.spec.ts", use: { launchOptions } });
