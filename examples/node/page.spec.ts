import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test as base } from "realtape/playwright";
import { booking } from "./scenario.js";

// Stands for the page's own server: it asks the service for a client secret.
const test = base.extend<{ site: string }>({
  site: async ({ realtape }, use) => {
    const server = createServer(async ({ url }, response) => {
      if (url === "/session") {
        const { value } = await realtape.clientSecret();
        response.end(JSON.stringify({ url: realtape.url, secret: value }));
      } else {
        response.setHeader("content-type", "text/html").end(await readFile(new URL("page.html", import.meta.url)));
      }
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    server.close();
  },
});

test.use({ realtapeOptions: { dialect: "openai", pacing: "burst", scenario: booking } });

test("the page offers free slots", async ({ page, site, realtape }) => {
  await page.goto(site);
  await realtape.waitFor("session.update");
  await page.fill("#text", "A dental cleaning, please.");
  await page.press("#text", "Enter");
  await expect(page.locator("#said")).toHaveText("I have 11:15.");
  await expect(realtape).toHaveReceivedInOrder("response.create", "conversation.item.create", "response.create");
  await page.close();
  await expect(realtape).toHaveNoFindings({ level: "error" });
});
