// Every view in a real Chromium against a real, running network. BLESS=1 writes the screenshots of docs/page.md.

import assert from "node:assert/strict";
import { mkdir, readFile, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { browser, fromDist, network, root, until } from "./network.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = ["network", "receipt", "models", "operate", "buy", "audit", "economics"];
const SLOW = { timeout: 180_000 };

let net, chrome, context, page;
const violations = [];
const elsewhere = [];

/** A page that notes every breach of the policy and every request to another place. */
async function open(options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(30_000);
  await fromDist(context, net.api);
  await context.addInitScript(() => {
    globalThis.breaches = [];
    document.addEventListener("securitypolicyviolation", (event) => globalThis.breaches.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => violations.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(net.api) && !url.startsWith("blob:")) elsewhere.push(url);
  });
  return { context, page };
}

async function see(view, what = "") {
  await page.goto("about:blank"); // so that nothing of the view before is mistaken for this one
  await page.goto(`${net.api}/#/${view}${what && `/${what}`}`);
  await page.locator(`main[data-view="${view}"] h1`).waitFor();
}

async function shot(name, on = page) {
  if (!process.env.BLESS) return;
  const dir = join(root, "docs/page");
  await mkdir(dir, { recursive: true });
  await on.mouse.move(0, 0);
  await on.evaluate(() => scrollTo(0, 0));
  await on.waitForTimeout(300);
  await on.screenshot({ path: join(dir, `${name}.png`), animations: "disabled" });
}

before(async () => {
  net = await network(["ewr=EWR", "jfk=JFK"]);
  chrome = await browser();
  ({ context, page } = await open());
}, { timeout: 120_000 });

after(async () => {
  await chrome?.close();
  await net?.stop();
});

test("the page is light, under a strict policy, and its first view is there within a second", async () => {
  const files = await readdir(join(root, "dashboard/dist"));
  assert.deepEqual(files.sort(), ["icon.svg", "index.html", "page.css", "page.js", "verifier.js"]);
  let weight = 0;
  for (const path of ["/", "/page.js", "/page.css", "/icon.svg"]) {
    const response = await fetch(net.api + path);
    const policy = response.headers.get("content-security-policy");
    assert.match(policy, /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'[^;]*unsafe-eval|http/);
    weight += gzipSync(Buffer.from(await response.arrayBuffer())).length;
  }
  assert.ok(weight <= 500_000, `${weight} bytes compressed`);
  const times = [];
  for (let turn = 0; turn < 5; turn++) {
    await page.goto("about:blank");
    await page.goto(`${net.api}/#/network`);
    await page.locator("main .figures").first().waitFor();
    times.push(await page.evaluate(() => performance.now()));
  }
  const best = Math.min(...times);
  assert.ok(best < 1000, `first view after ${times.map(Math.round)} ms`);
  console.log(`# page ${weight} bytes compressed, first view after ${Math.round(best)} ms`);
});

test("private views are refused without the owner's key, and opened with it", SLOW, async () => {
  for (const view of ["operate", "buy"]) {
    await see(view);
    await page.getByRole("heading", { name: "The owner's key" }).waitFor();
  }
  for (const path of ["/v1/own", "/v1/own/nodes/ewr"]) {
    const { status, doc } = await net.call(path, { owner: false });
    assert.deepEqual([status, doc.name], [401, "owner.key"]);
  }
  await page.getByLabel("Key", { exact: true }).fill("0".repeat(64));
  await page.getByRole("button", { name: "Unlock" }).click();
  await page.getByText("owner.key: expected").waitFor();
  await shot("locked");
  await page.goto("about:blank");
  await page.goto(`${net.api}/#key=${net.key}`);
  await page.locator("main .figures").first().waitFor();
  assert.doesNotMatch(page.url(), /key=/, "the key stays in no address");
  await see("buy");
  await page.getByRole("heading", { name: "What do you want to know?" }).waitFor();
});

test("a job bought in the page is proved, settled and shown", SLOW, async () => {
  await see("buy");
  const device = page.getByLabel("Device", { exact: true });
  await device.selectOption({ label: "ewr at EWR" });
  await page.getByLabel("Days", { exact: true }).fill("0");
  await page.getByText("buy.days: expected").waitFor();
  await page.getByLabel("Days", { exact: true }).fill("5");
  await page.getByText("2.50 $").first().waitFor();
  await page.getByLabel("Open for hours").fill("1");
  await page.getByRole("button", { name: "Put into escrow and buy" }).click();
  await page.waitForURL(/#\/buy\/0x[0-9a-f]{64}$/);
  const id = page.url().split("/").at(-1);
  // Live: nothing is loaded again while the node works.
  const provable = (await until("the node has looked at all days", async () => {
    const { journal } = await net.get("/v1/own/nodes/ewr");
    const done = journal.entries.filter((entry) => entry.job === id);
    return done.length === 5 && done;
  })).filter((entry) => entry.receipt !== null).length;
  assert.ok(provable >= 3, `${provable} days with readings`);
  await until("all days are shown", async () => (await page.locator(".days li").count()) === provable);
  await page.getByRole("button", { name: "Close an epoch" }).click();
  await page.getByText("is closed, posted and final").waitFor();
  await page.locator(".steps li.done", { hasText: "Settled" }).waitFor();
  // The challenge window that passed was an hour: the job is over, and the next epoch gives back what was not earned.
  await page.getByRole("button", { name: "Close an epoch" }).click();
  await page.locator(".steps li.done", { hasText: "Over" }).waitFor();
  const job = await net.get(`/v1/jobs/${id}`);
  const { buyer } = await net.get("/v1/own");
  assert.equal(job.status, "ended");
  assert.equal(buyer.account.balance, 2_500_000 - job.units * 500_000);
  if (buyer.account.balance > 0) {
    await page.getByRole("button", { name: "Ask for it back" }).click();
    await page.getByText("Asked for.").waitFor();
    await page.getByRole("button", { name: "Close an epoch" }).click();
    await page.getByText("is closed, posted and final").waitFor();
    await page.getByRole("button", { name: "Claim", exact: true }).click();
    await page.getByText("paid to the buyer’s account by the contract").waitFor();
    assert.equal((await net.get("/v1/own")).buyer.claimed, buyer.account.balance);
  }
  await see("operate", "ewr");
  await page.getByRole("button", { name: "Claim", exact: true }).click();
  await page.getByText("paid to your account by the contract").waitFor();
});

test("a node in a process of its own, whose device lies on two days, is refused by name", SLOW, async () => {
  await net.run("node", "run", "lga", "--station", "LGA", "--join-only");
  const { nodes } = await net.get("/v1/own");
  const model = (await net.get("/v1/models"))[0].id;
  const from = { jfk: "2013-02-01", lga: "2013-01-22" };
  for (const [name, days, price] of [["jfk", 16, 450_000], ["lga", 6, 520_000]]) {
    const node = nodes.find((candidate) => candidate.name === name);
    const body = { device: node.device, station: node.station, model, from: from[name], days, unit_price: price, open_hours: 48 };
    assert.equal((await net.call("/v1/own/jobs", { body })).status, 200);
  }
  const { days } = await net.run("node", "run", "lga", "--station", "LGA", "--show", "2013-01-23=tampered", "--show", "2013-01-24=stuck");
  assert.ok(days.filter((day) => day.reason?.name === "inference.not-genuine").length >= 1);
  await until("both worked", async () => {
    const { nodes } = await net.get("/v1/own");
    return nodes.filter((node) => node.name === "jfk").every((node) => node.journal.entries.length === 16);
  });
  await net.call("/v1/epochs", { body: {} });
  await see("operate", "lga");
  await page.locator(".reasons code", { hasText: "inference.not-genuine" }).waitFor();
  await page.locator(".reasons").getByRole("link", { name: "The receipt" }).first().click();
  await page.locator(".why", { hasText: "inference.not-genuine" }).waitFor();
  await page.getByRole("button", { name: "Verify here" }).click();
  await page.locator(".verdict").getByText("The proof holds; the receipt is not paid because of inference.not-genuine").waitFor();
});

test("a receipt verifies here, and every lie is refused by name", SLOW, async () => {
  await see("receipt");
  await page.waitForURL(/#\/receipt\/0x/);
  await page.getByText("They never left the node").waitFor();
  const verify = page.getByRole("button", { name: "Verify here" });
  const verdict = page.locator(".verdict");
  await verify.click();
  await verdict.getByText(/All \d+ checks hold/).waitFor();
  const names = await page.locator(".checks li b").allTextContents();
  for (const name of ["receipt", "node signature", "device signature", "job", "evidence", "public input", "proof: opening", "on chain"]) {
    assert.ok(names.includes(name), `${name} in ${names}`);
  }
  assert.equal(await page.locator(".checks .bad").count(), 0);
  await shot("receipt");
  const lies = page.getByLabel("The lie switch");
  const lie = async (choice, byte) => {
    await lies.selectOption(choice);
    if (byte !== undefined) await page.getByLabel("Byte").fill(String(byte));
    await verify.click();
    await verdict.getByText("The lie is refused").waitFor();
    return (await verdict.locator("code").textContent()).split(", ");
  };
  const size = Number(await page.getByLabel("Byte").getAttribute("max"));
  for (const byte of [0, 1000, size >> 1, size]) {
    const refused = await lie("proof", byte);
    assert.equal(refused[0], "receipt.wrong-evidence", `byte ${byte}`);
    assert.ok(refused.some((name) => name.startsWith("proof.")), `byte ${byte}: ${refused}`);
  }
  await shot("receipt-lie");
  assert.ok((await lie("output")).includes("proof.statement.output"));
  const hidden = await lie("receipt");
  assert.ok(hidden.includes("receipt.node-signature") && hidden.includes("receipt.device-signature") && hidden.includes("proof.statement.input"), String(hidden));
  await lies.selectOption("none");
  await verify.click();
  await verdict.getByText(/All \d+ checks hold/).waitFor();
});

test("limits and grants set in the page take effect on the node", SLOW, async () => {
  await see("operate", "ewr");
  const ewr = () => net.get("/v1/own/nodes/ewr");
  const proved = (await ewr()).journal.proved;
  const slide = async (name, value) => {
    const input = page.getByLabel(name, { exact: true });
    await input.fill(String(value));
    await input.dispatchEvent("input");
  };
  const set = async () => {
    const answer = page.waitForResponse((response) => response.url().endsWith("/limits"));
    await page.getByRole("button", { name: "Set limits" }).click();
    assert.equal((await answer).status(), 200);
    await page.getByText("Set. The node obeys").waitFor();
  };
  const again = async (reason) => {
    const node = await ewr();
    const body = { device: node.device, station: "EWR", model: (await net.get("/v1/models"))[0].id, from: "2013-01-22", days: 1, unit_price: 500_000, open_hours: 24 };
    assert.equal((await net.call("/v1/own/jobs", { body })).status, 200);
    await until(reason, async () => (await ewr()).journal.entries.at(-1).reason?.name === reason);
    await page.locator(".reasons code", { hasText: reason }).first().waitFor();
  };
  await slide("Windows a day", 0);
  await slide("Share of the CPU’s time", 50);
  await set();
  assert.deepEqual([(await ewr()).limits.windows_a_day, (await ewr()).limits.cpu_share_pct], [0, 50]);
  await again("owner.windows-a-day");
  // Hours that leave out this one.
  const hour = new Date((await net.get("/v1/status")).now_s * 1000).getUTCHours();
  await slide("Windows a day", 10);
  await slide("Works from", (hour + 2) % 24);
  await slide("until", (hour + 3) % 24);
  await set();
  await again("owner.outside-hours");
  await page.getByLabel("Least price, $").fill("0.75");
  await slide("Works from", 0);
  await slide("until", 0);
  await set();
  await again("owner.least-price");
  await page.getByLabel("Least price, $").fill("0.10");
  await page.getByRole("switch").check();
  await set();
  await until("the open jobs are practised", async () => (await ewr()).journal.entries.some((entry) => entry.outcome === "practised"));
  assert.ok((await ewr()).journal.proved > proved, "practice proves");
  await page.getByText("nothing is handed in").waitFor();
  await page.getByRole("button", { name: "Withdraw grant 1" }).click();
  await page.getByText("Grant 1 is withdrawn").waitFor();
  await again("owner.no-grant");
  await page.getByLabel("For what").fill("frost insurance, winter");
  await page.getByLabel("Model", { exact: true }).selectOption({ index: 1 });
  await page.getByLabel("Until", { exact: true }).fill("2030-01-01");
  await page.getByRole("button", { name: "Give the grant" }).click();
  await page.getByText("Given.").waitFor();
  await page.getByRole("switch").uncheck();
  await set();
  const paid = (await ewr()).earned;
  await until("the node works again", async () => (await ewr()).earned > paid);
  await page.locator("td", { hasText: "frost insurance, winter" }).waitFor();
  await shot("operate");
});

test("an epoch is checked again in the page", SLOW, async () => {
  await see("audit", "1");
  await page.getByRole("button", { name: "Check this epoch" }).click();
  await page.locator(".verdict").getByText("No difference").waitFor(SLOW);
  const { receipts } = await net.get("/v1/epochs/1");
  assert.equal(await page.locator("progress").evaluate((bar) => bar.value), receipts.length);
  assert.equal(await page.getByRole("table", { name: "Checked" }).locator("tbody tr").count(), receipts.length + 3);
  await shot("audit");
});

test("what the page shows is what the API says, and tables can be taken away", SLOW, async () => {
  await see("network");
  const [status, members] = [await net.get("/v1/status"), await net.get("/v1/nodes")];
  assert.equal(await page.locator(".node").count(), members.length);
  assert.equal(await page.getByRole("table", { name: "Epochs" }).locator("tbody tr").count(), status.epochs);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save Receipts as CSV" }).click();
  const csv = await readFile(await (await download).path(), "utf8");
  const receipts = await net.get("/v1/receipts");
  assert.equal(csv.trim().split("\r\n").length, receipts.length + 1);
  assert.ok(receipts.every((receipt) => csv.includes(receipt.digest)));
  const json = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save Epochs as JSON" }).click();
  assert.equal(JSON.parse(await readFile(await (await json).path(), "utf8")).length, status.epochs);
  await shot("network");
  await see("economics");
  const economics = await net.get("/v1/economics");
  const shares = economics.payouts.reduce((sum, row) => sum + row.shares, 0);
  await page.locator(".figures dd", { hasText: `${(shares / 1e6).toFixed(2)} $` }).first().waitFor();
  await shot("economics");
  await see("models");
  await page.getByText("weather-qod").first().waitFor();
  assert.equal(await page.getByRole("table", { name: "Tensors" }).locator("tbody tr").count(), (await net.get("/v1/models"))[0].tensors.length);
  await shot("models");
  await see("buy");
  await page.locator(".quote dd").first().waitFor();
  await page.locator(".days li").first().waitFor();
  await shot("buy");
});

test("every view is clean for axe, in light and dark, and fits a small screen", { timeout: 120_000 }, async () => {
  for (const colorScheme of ["light", "dark"]) {
    const { context, page } = await open({ colorScheme });
    await page.goto(`${net.api}/#key=${net.key}`);
    await page.locator("main .figures").first().waitFor();
    for (const view of VIEWS) {
      await page.goto(`${net.api}/#/${view}`);
      await page.locator(`main[data-view="${view}"] h1`).waitFor();
      await page.locator("main .card").first().waitFor();
      await page.waitForTimeout(150);
      await page.evaluate(`${axe};0`);
      const found = await page.evaluate(async () => {
        const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
        return result.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(" | ")}`);
      });
      assert.deepEqual(found, [], `${view} in ${colorScheme}`);
    }
    if (colorScheme === "dark") {
      await page.goto(`${net.api}/#/network`);
      await page.locator('main[data-view="network"] .plot canvas').first().waitFor();
      await shot("network-dark", page);
      await page.setViewportSize({ width: 390, height: 800 });
      for (const view of VIEWS) {
        await page.goto(`${net.api}/#/${view}`);
        await page.locator(`main[data-view="${view}"] h1`).waitFor();
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        const widest = () => [...document.querySelectorAll("main *")].filter((one) => !one.closest(".scroll") && one.getBoundingClientRect().right > innerWidth + 1).map((one) => `${one.tagName}.${one.className}`).slice(-3);
        assert.ok(wide <= 0, `${view} is ${wide} pixels too wide for a small screen: ${wide > 0 ? await page.evaluate(widest) : ""}`);
      }
      await page.goto(`${net.api}/#/receipt`);
      await page.locator('main[data-view="receipt"] .claim').waitFor();
      await shot("receipt-small", page);
    }
    await context.close();
  }
});

test("the keyboard alone is enough", SLOW, async () => {
  await see("network");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.getByRole("link", { name: "Models", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.locator('main[data-view="models"] h1').waitFor();
});

test("hostile strings do nothing", SLOW, async () => {
  const evil = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=2</script>"\'=1+1';
  const { context, page } = await open();
  const spoil = (value, name = "") => {
    if (Array.isArray(value)) return value.map((item) => spoil(item, name));
    if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spoil(item, key)]));
    return typeof value === "string" && /^(name|station|purpose|expected|got|status|standing|task|classes|notes|source_file|outcome|operators|refusals)$/.test(name) ? evil : value;
  };
  await context.route("**/v1/**", async (route) => {
    const response = await route.fetch();
    if (!(response.headers()["content-type"] ?? "").includes("json")) return route.fulfill({ response });
    return route.fulfill({ response, json: spoil(await response.json()) });
  });
  await context.route("**/v1/events", (route) => route.abort());
  await page.goto(`${net.api}/#key=${net.key}`);
  await page.locator("main h1").waitFor();
  for (const view of VIEWS) {
    await page.goto(`${net.api}/#/${view}`);
    await page.locator(`main[data-view="${view}"] h1`).waitFor();
    await page.waitForTimeout(200);
    const seen = await page.evaluate(() => [globalThis.hacked, document.querySelectorAll("main img, main script, main [onerror]").length, globalThis.breaches.length]);
    assert.deepEqual(seen, [undefined, 0, 0], view);
    if (view !== "audit") assert.ok((await page.textContent("main")).includes("<img src=x"), `${view} shows the text as text`);
  }
  await context.close();
});

test("no error, no breach of the policy, no request to another place", async () => {
  assert.deepEqual(violations, []);
  assert.deepEqual(elsewhere.filter((url) => url !== "about:blank"), []);
  assert.deepEqual(await page.evaluate(() => globalThis.breaches), []);
});
