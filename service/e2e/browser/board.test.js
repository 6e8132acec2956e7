// The board of the embedded Twilio. SANDBOX_TWILIO is its address, and SANDBOX_REST that
// of the service. SCREENSHOT, if set, is the file for a picture of the board.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const net = require("node:net");
const test = require("node:test");
const { checkFits, openPage } = require("./browser.js");

const { SANDBOX_REST, SANDBOX_TWILIO, SCREENSHOT } = process.env;
const CONFERENCE = "CFcf000000000000000000000000000001";
const CUSTOMER = "CAca000000000000000000000000000002";
const AUTH_TOKEN = "00112233445566778899aabbccddeeff";

const update = (participant, properties) =>
  fetch(`${SANDBOX_REST}/v1/conferences/${CONFERENCE}/participants/${participant}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(properties),
  });

// openBoard opens the board, in its initial state.
const openBoard = async (t, width = 1280, url = SANDBOX_TWILIO) => {
  await fetch(`${SANDBOX_TWILIO}/sandbox/reset`, { method: "POST" });
  const page = await openPage(t, `${url}/`, width);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByText("live", { exact: true }).waitFor();
  return page;
};

const card = (page, name) => page.locator(".card").filter({ has: page.getByRole("heading", { name }) });
const chip = (page, name, text) => card(page, name).locator(".chip").getByText(text, { exact: true });

// copied returns what was copied, as soon as it begins with the text.
const copied = async (page, begin) => {
  const found = await page.waitForFunction(async (begin) => {
    const text = await navigator.clipboard.readText();
    return text.startsWith(begin) && text;
  }, begin);
  return found.jsonValue();
};

// press moves the focus with the Tab key to a control and presses a key there.
const press = async (page, control, key) => {
  for (let i = 0; i < 200; i++) {
    await page.keyboard.press("Tab");
    if (await control.evaluate((e) => e === document.activeElement)) return page.keyboard.press(key);
  }
  throw new Error("the Tab key does not reach the control");
};

test("a mute over gRPC, by the command of the card", async (t) => {
  const page = await openBoard(t);
  await card(page, "customer").getByText("Commands").click();
  await card(page, "customer").getByRole("button", { name: "Copy grpcurl: mute" }).click();
  await page.getByText("copied").waitFor();
  execFileSync("sh", ["-c", await copied(page, "grpcurl")]);
  await chip(page, "customer", "muted").waitFor();
  await page.locator("#log li", { hasText: "Muted=true" }).waitFor();
  const cell = page.locator(`#${CONFERENCE} tr`, { hasText: "agent" }).locator("td[title='does not hear: the speaker is muted']");
  assert.equal(await cell.count(), 1);
  await card(page, "customer").getByRole("button", { name: "Copy curl: unmute" }).click(); // The details stay open.
  execFileSync("sh", ["-c", `${await copied(page, "curl")} -fsS`]);
  await chip(page, "customer", "muted").waitFor({ state: "detached" });
});

test("a fault that is armed by a click", async (t) => {
  const page = await openBoard(t);
  await page.locator("[name=kind]").selectOption("conflict");
  await page.locator("[name=participant]").fill("agent");
  await page.getByRole("button", { name: "Arm" }).click();
  await page.getByText("conflict: 0 of 1 requests, agent").waitFor();
  assert.equal((await update("customer", { muted: true })).status, 200);
  assert.notEqual((await update("agent", { muted: true })).status, 200);
  await page.locator("#log .failed", { hasText: "fault conflict" }).waitFor();
  assert.equal((await update("agent", { muted: true })).status, 200);
  await page.getByRole("button", { name: "Clear the faults" }).click();
  await page.getByText("None is armed.").waitFor();
});

for (const width of [1280, 390]) {
  test(`by keyboard, ${width} px wide and dark`, async (t) => {
    const page = await openBoard(t, width);
    await page.emulateMedia({ colorScheme: "dark" });
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(background, "rgb(21, 24, 28)");
    assert.equal((await update("agent", { hold: true, hold_url: "https://example.com/music.mp3" })).status, 200);
    await card(page, "agent").getByText("https://example.com/music.mp3").waitFor();
    await checkFits(page);
    await press(page, page.getByRole("button", { name: "Advance" }), "Enter");
    await card(page, "agent").getByText("https://example.com/music.mp3").waitFor({ state: "detached" }); // It has ended.
    await press(page, card(page, "customer").locator("[data-copy]").first(), " ");
    await page.getByText("copied").waitFor();
    assert.equal(await copied(page, "CA"), CUSTOMER);
    await press(page, page.getByRole("button", { name: "Hang up customer" }), "Enter");
    await card(page, "customer").waitFor({ state: "detached" });
    await press(page, page.getByRole("button", { name: "Reset" }), "Enter");
    await card(page, "customer").waitFor();
    await checkFits(page);
  });
}

test("long names, 390 px wide", async (t) => {
  const page = await openBoard(t, 390);
  const name = "n".repeat(128);
  const [account] = (await (await fetch(`${SANDBOX_TWILIO}/sandbox/state`)).json()).accounts;
  const created = await fetch(`${SANDBOX_TWILIO}/2010-04-01/Accounts/${account.sid}/Conferences/${name}/Participants.json`, {
    method: "POST",
    headers: { Authorization: "Basic " + btoa(`${account.sid}:${AUTH_TOKEN}`) },
    body: new URLSearchParams({ From: "+15550001111", To: "+15550002222", Label: name }),
  });
  assert.equal(created.status, 201);
  await fetch(`${SANDBOX_TWILIO}/sandbox/faults`, { method: "POST", body: JSON.stringify({ participant: name, kind: "503" }) });
  await page.locator("#armed", { hasText: name }).waitFor();
  await card(page, name).waitFor();
  await checkFits(page);
});

test("after a restart", async (t) => {
  const { hostname, port } = new URL(SANDBOX_TWILIO);
  const sockets = new Set();
  let server;
  const start = (at) =>
    new Promise((resolve) => {
      server = net.createServer((socket) => {
        const upstream = net.connect(port, hostname);
        for (const end of [socket, upstream]) sockets.add(end.on("error", () => {}));
        socket.pipe(upstream).pipe(socket);
      });
      server.listen(at, "127.0.0.1", () => resolve(server.address().port));
    });
  const stop = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  t.after(stop);
  const proxy = await start(0);
  const page = await openBoard(t, 1280, `http://127.0.0.1:${proxy}`);
  stop();
  await page.getByText("reconnecting").waitFor();
  assert.equal((await update("customer", { hold: true })).status, 200);
  await start(proxy);
  await chip(page, "customer", "on hold").waitFor();
  await page.getByText("live", { exact: true }).waitFor();
});

test("a picture", { skip: !SCREENSHOT }, async (t) => {
  const page = await openBoard(t, 1130);
  const [account] = (await (await fetch(`${SANDBOX_TWILIO}/sandbox/state`)).json()).accounts;
  const [agent, customer, supervisor] = account.conferences[0].participants.map((p) => ({ call_sid: p.call_sid, label: p.label }));
  const conferences = [{ sid: CONFERENCE, friendly_name: "Support", participants: [agent, customer, supervisor] }];
  const state = { accounts: [{ sid: account.sid, auth_token: AUTH_TOKEN, conferences }] };
  assert.ok((await fetch(`${SANDBOX_TWILIO}/sandbox/state`, { method: "POST", body: JSON.stringify(state) })).ok);
  await fetch(`${SANDBOX_TWILIO}/sandbox/faults`, { method: "POST", body: '{"participant": "customer", "kind": "503"}' });
  await update("customer", { muted: true });
  await update("supervisor", { call_sid_to_coach: agent.call_sid });
  await update("agent", { announce_url: "https://example.com/welcome.mp3" });
  await card(page, "agent").getByText("welcome.mp3").waitFor();
  await page.screenshot({ path: SCREENSHOT });
});
