// The API page makes calls to the sandbox. SANDBOX_REST is its address, and TOKEN, if
// set, a token that it demands.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const { checkFits, openPage } = require("./browser.js");

const { SANDBOX_REST, TOKEN } = process.env;

// tryOut opens an operation and returns it, ready to be executed.
const tryOut = async (page, id) => {
  const operation = page.locator(`#operations-ConferenceService-${id}`);
  await operation.locator(".opblock-summary").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  return operation;
};

// execute sends the call and returns the status of the answer.
const execute = async (page, operation) => {
  const answer = page.waitForResponse((response) => response.url().includes("/v1/"));
  await operation.getByRole("button", { name: "Execute" }).click();
  const status = (await answer).status();
  await operation.locator(".live-responses-table .response-col_status", { hasText: String(status) }).waitFor();
  return status;
};

const authorize = async (page) => {
  await page.getByRole("button", { name: "Authorize" }).click();
  const dialog = page.locator(".modal-ux");
  await dialog.getByRole("textbox").fill(TOKEN);
  await checkFits(page);
  await dialog.getByRole("button", { name: "Apply credentials" }).click();
  await dialog.getByRole("button", { name: "Close" }).first().click();
};

test("the examples work on a phone", async (t) => {
  const page = await openPage(t, `${SANDBOX_REST}/`, 390);
  assert.equal(page.url(), `${SANDBOX_REST}/docs`);
  const update = await tryOut(page, "updateParticipant");
  if (TOKEN) {
    assert.equal(await execute(page, update), 401);
    await authorize(page);
  } else {
    assert.equal(await page.getByRole("button", { name: "Authorize" }).count(), 0);
  }
  assert.equal(await execute(page, update), 200);
  assert.match(await update.locator(".live-responses-table").innerText(), /"muted": true/);
  await checkFits(page);
  // The removals would remove the customer of the other examples.
  const others = page.locator(".opblock:not(.opblock-delete, .is-open)");
  const ids = await others.evaluateAll((elements) => elements.map((e) => e.id.split("-").at(-1)));
  for (const id of ids) {
    const operation = await tryOut(page, id);
    assert.equal(await execute(page, operation), 200, id);
    await checkFits(page);
    await operation.locator(".opblock-summary").click();
  }
  assert.ok(ids.length > 0);
});

test("a label is typed as it is", async (t) => {
  const page = await openPage(t, `${SANDBOX_REST}/docs`, 1280);
  if (TOKEN) await authorize(page);
  const operation = await tryOut(page, "updateParticipant");
  await operation.getByPlaceholder("call_sid").fill("front desk");
  assert.equal(await execute(page, operation), 200);
  assert.match(await operation.locator(".live-responses-table").innerText(), /"label": "front desk"/);
});
