// Uses the playground as a person would, in a real browser. Arguments: the page's address, the browser, and a folder for
// pictures, if they are wanted. The first fault ends it with exit code 1.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const [address, executablePath, pictures] = process.argv.slice(2);
// Chromium's sandbox does not work for root, as whom containers run tests.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--force-color-profile=srgb"] });
const complaints = [];

async function open(options = {}, url = address) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, colorScheme: "light", ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("request", (request) => request.url().startsWith(address) || complaints.push(`asked elsewhere: ${request.url()}`));
  await page.goto(url);
  await status(page, /sent/);
  return page;
}

/** Waits until the status line says something, and returns it. */
async function status(page, pattern) {
  const line = page.getByRole("status");
  await line.filter({ hasText: pattern }).waitFor({ timeout: 15_000 });
  return line.textContent();
}

const event = (page) => page.getByRole("textbox", { name: "Event", exact: true });
const card = (page, name) => page.getByRole("article", { name, exact: true });
const says = (locator, pattern) => locator.filter({ hasText: pattern }).first().waitFor({ timeout: 15_000 });

const steps = {
  async "typing shows what leaves, digit for digit, with what it was made of"() {
    const page = await open();
    await event(page).fill('{"type":"group","groupId":"g1","userId":"u1","traits":{"Name":"Initech","big":12345678901234567890}}');
    await says(card(page, "mixpanel"), /✓ sent/);
    await says(card(page, "mixpanel").getByRole("listitem"), /"big": 12345678901234567890.*← traits\.big/);
    await says(page.locator("#traits"), /name.*came as “Name”/s);
    // What belongs together lights up.
    await card(page, "mixpanel").getByRole("listitem").filter({ hasText: "Initech" }).hover();
    await says(page.locator(".trait.lit"), /Initech/);
    await page.context().close();
  },

  async "a switch edits the event's integrations, by mouse and by key, and nothing else of it"() {
    const page = await open();
    await event(page).fill('{"type":"group","groupId":"g1",\n  "n": 1.0, "traits":{"name":"A"}}');
    await says(card(page, "webhook"), /"n": 1\.0/);
    const mixpanel = page.getByRole("switch", { name: "Mixpanel" });
    await mixpanel.click();
    await says(card(page, "mixpanel"), /not sent.*\(flag_false\)/s);
    assert.match(await event(page).inputValue(), /"n": 1\.0, .*"integrations": \{\s+"Mixpanel": false\s+\}/s);
    await mixpanel.focus();
    await page.keyboard.press("Space");
    await says(card(page, "mixpanel"), /✓ sent/);
    assert.match(await event(page).inputValue(), /"Mixpanel": true/);
    await page.getByRole("switch", { name: "Salesforce" }).click();
    await says(card(page, "salesforce"), /✓ sent/);
    await page.getByRole("switch", { name: "All" }).click();
    await says(card(page, "hubspot"), /all_false/);
    // What else stands in the object stays byte for byte.
    await event(page).fill('{"type":"group","groupId":"g1","integrations":{"Intercom":{"n":12345678901234567890}}}');
    await says(card(page, "mixpanel"), /✓ sent/);
    await mixpanel.click();
    await says(card(page, "mixpanel"), /not sent/);
    assert.equal(await event(page).inputValue(),
      '{"type":"group","groupId":"g1","integrations":{"Intercom":{"n":12345678901234567890}, "Mixpanel": false}}');
    // All of it at a glance, and each a key away.
    await page.getByRole("button", { name: "mixpanel : not sent" }).press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), "mixpanel");
    await page.context().close();
  },

  async "a definition is edited in place, its faults at line and column, and a link opens all of it anew"() {
    const page = await open();
    await event(page).fill('{"type":"group","groupId":"g1","traits":{"name":"Initech"}}');
    const webhook = card(page, "webhook");
    await webhook.getByRole("button", { name: "Edit" }).click();
    const definition = webhook.getByRole("textbox", { name: "Definition of webhook" });
    const text = "name: Mine\nabout: A.\nmembership: none\nnulls: drop\noperations:\n  - id: a\n    request: POST /x\n    body: { n: \"${traits.name | uper}\" }\n";
    await definition.fill(text);
    const fault = webhook.getByRole("button", { name: /unknown filter/ });
    await says(fault, /definition, line 8, column \d+.*did you mean: upper/s);
    await fault.click();
    const marked = await definition.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
    assert.match(marked, /uper/);
    await definition.fill(text.replace("uper", "upper"));
    await says(webhook.getByRole("listitem"), /"n": "INITECH".*← traits\.name/);
    await page.getByRole("button", { name: "Copy link" }).click();
    await status(page, /copied/);

    const again = await open({}, page.url());
    assert.equal(await event(again).inputValue(), await event(page).inputValue());
    await says(card(again, "webhook").getByRole("listitem"), /INITECH/);
    await card(again, "webhook").getByRole("button", { name: "Undo all edits" }).click();
    await says(card(again, "webhook").getByRole("listitem"), /"groupId": "g1"/);
    await again.goto(address + "#damaged");
    await status(again, /damaged; the page stays/);
    await again.reload();
    await status(again, /damaged; this is the first sample/);
    await says(again.locator("#results"), /mixpanel/);
    await again.context().close();
    await page.context().close();
  },

  async "a request is copied as curl, wrapped as the API takes it"() {
    const page = await open({ permissions: ["clipboard-read", "clipboard-write"] });
    await event(page).fill('{"type":"group","groupId":"g1","traits":{"name":"O\'Neill"}}');
    await says(card(page, "hubspot").getByRole("listitem"), /O'Neill/);
    await card(page, "hubspot").getByRole("button", { name: "Copy as curl" }).click();
    await status(page, /curl command was copied/);
    const command = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(command, /curl -X POST "\$API_URL"'\/crm\/v3\/objects\/companies\/batch\/upsert'/);
    assert.match(command, /\{"inputs":\[\{"idProperty": "group_id".*O'\\''Neill/s);
    await page.context().close();
  },

  async "what is no event is explained, and the page goes on"() {
    const page = await open();
    await event(page).fill('{"type":"group"');
    await says(page.locator("#verdict"), /dead letter.*invalid_json.*line 1 column 15/s);
    await event(page).fill('{"type":"track"}');
    await says(page.locator("#verdict"), /ignored.*not_group/s);
    await page.getByLabel("Sample").selectOption({ index: 1 });
    await says(page.locator("#verdict"), /a group event/);
    await page.context().close();
  },

  async "a megabyte is taken, and more than the page takes is refused in words"() {
    const page = await open();
    const traits = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`trait ${index}`, "x".repeat(300)]));
    await event(page).fill(JSON.stringify({ type: "group", groupId: "g1", traits }));
    await says(page.locator("#traits"), /and 2800 more/);
    await event(page).fill(JSON.stringify({ type: "group", groupId: "g1", traits: { long: "x".repeat(1_100_000) } }));
    await says(page.locator("#verdict"), /record_too_large/);
    await event(page).fill(`"${"x".repeat(5_000_000)}"`);
    await status(page, /more than the page takes/);
    complaints.splice(0, complaints.length, ...complaints.filter((line) => !line.includes("413")));
    await page.context().close();
  },

  async "destinations are found and chosen"() {
    const page = await open();
    await page.getByText(/^Destinations/).click();
    await page.getByLabel("Find").fill("braz");
    await page.getByRole("checkbox", { name: "braze" }).check();
    await says(card(page, "braze"), /sent/);
    await page.getByRole("checkbox", { name: "braze" }).uncheck();
    await card(page, "braze").waitFor({ state: "detached" });
    await page.context().close();
  },

  async "names, contrast and order suit everybody, in both colours and on a phone"() {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1440, 390]) {
        const page = await open({ colorScheme, viewport: { width, height: 1000 }, bypassCSP: true });
        await card(page, "webhook").getByRole("button", { name: "Edit" }).click();
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
        const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html + " " + node.failureSummary).join(" | ")}`);
        assert.deepEqual(told, [], `${colorScheme} ${width}`);
        const overflow = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${width} columns, and ${overflow} more`);
        await page.context().close();
      }
    }
    const page = await open();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to what leaves");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "results");
    assert.match(await status(page, /./), /sent/);
    await page.getByRole("button", { name: /dark colours/ }).click();
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.context().close();
  },

  async "pictures"() {
    if (!pictures) return;
    for (const [name, options] of Object.entries({
      light: { viewport: { width: 1440, height: 1000 } },
      dark: { viewport: { width: 1440, height: 1000 }, colorScheme: "dark" },
      phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
    })) {
      const page = await open(options);
      await page.getByLabel("Sample").selectOption({ index: 1 });
      await says(page.locator("#traits"), /Created At/);
      await page.screenshot({ path: `${pictures}/playground-${name}.png` });
      await page.context().close();
    }
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  assert.deepEqual(complaints, [], `${name}: the browser complained`);
  console.log(`ok: ${name}`);
}
await browser.close();
