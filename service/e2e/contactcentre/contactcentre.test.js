// What a contact centre does to a call, with Twilio's SDK through the service. SANDBOX_REST
// is the address of the service, and SANDBOX_TWILIO that of the embedded Twilio behind it.
"use strict";

const assert = require("node:assert/strict");
const { beforeEach, test } = require("node:test");
const twilio = require("twilio");

const { SANDBOX_REST, SANDBOX_TWILIO } = process.env;
const CONFERENCE = "CFcf000000000000000000000000000001";
const AGENT = "CAca000000000000000000000000000001";

const client = twilio("ACac000000000000000000000000000001", "00112233445566778899aabbccddeeff");
client.api.baseUrl = SANDBOX_REST;
const conference = client.conferences(CONFERENCE);
const customer = conference.participants("customer");
const agent = conference.participants("agent");

// sandbox calls one of the embedded Twilio's own pages.
const sandbox = async (path, options) => {
  const answer = await fetch(`${SANDBOX_TWILIO}/sandbox/${path}`, options);
  assert.ok(answer.ok, path);
  return answer.status === 204 ? null : answer.json();
};
const arm = (fault) => sandbox("faults", { method: "POST", body: JSON.stringify(fault) });
const state = async () => (await sandbox("state")).accounts[0].conferences[0];
const faults = async (label) => {
  const { entries } = await sandbox(`journal?kind=request&participant=${label}`);
  return entries.filter((e) => e.operation === "update").map((e) => e.fault);
};

beforeEach(() => sandbox("reset", { method: "POST" }));

test("hold", async () => {
  const { hold } = await customer.update({ hold: true, holdUrl: "https://example.com/music.mp3" });
  assert.equal(hold, true);
  assert.equal((await customer.fetch()).hold, true);
  assert.equal((await customer.update({ hold: false })).hold, false);
});

test("coach", async () => {
  const coach = await conference.participants("supervisor").update({ coaching: true, callSidToCoach: AGENT });
  assert.equal(coach.callSidToCoach, AGENT);
  const coaches = await conference.participants.list({ coaching: true });
  assert.deepEqual(coaches.map((p) => p.label), ["supervisor"]);
});

test("whisper", async () => {
  await conference.participants("supervisor").update({ callSidToCoach: AGENT });
  const board = await (await fetch(SANDBOX_TWILIO)).text();
  assert.equal(board.split('title="hears as a whisper"').length, 2); // Only the agent hears it.
});

test("warm transfer", async () => {
  await customer.update({ hold: true });
  await conference.participants("front%20desk").update({ muted: false });
  await customer.update({ hold: false });
  await agent.update({ endConferenceOnExit: false });
  assert.equal(await agent.remove(), true);
  const left = await conference.participants.list({ hold: false, pageSize: 2 });
  assert.deepEqual(left.map((p) => p.label), ["customer", "supervisor", "front desk"]);
  const running = await client.conferences.list({ friendlyName: "Support", status: "in-progress" });
  assert.deepEqual(running.map((c) => c.sid), [CONFERENCE]);
});

test("hang-up", async () => {
  const body = new URLSearchParams({ ConferenceSid: CONFERENCE, CallSid: "customer" });
  await sandbox("hangup", { method: "POST", body });
  await assert.rejects(customer.update({ muted: true }), { status: 404, code: 20404 });
});

test("rate limit", async () => {
  await arm({ participant: "customer", kind: "429", times: 2 });
  assert.equal((await customer.update({ muted: true })).muted, true);
  assert.deepEqual(await faults("customer"), ["429", "429", ""]);
});

test("lost answer", async () => {
  await arm({ participant: "customer", kind: "reset-after" });
  assert.equal((await customer.update({ muted: true })).muted, true); // It is repeated.
  assert.deepEqual(await faults("customer"), ["reset-after", ""]);

  await arm({ participant: "agent", kind: "reset-after" });
  await assert.rejects(agent.update({ announceUrl: "https://example.com/once.mp3" }));
  const { announcements } = (await state()).participants[0];
  assert.equal(announcements.length, 1); // It is not repeated.
});
