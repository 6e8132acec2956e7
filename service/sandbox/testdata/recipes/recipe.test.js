const twilio = require("./twilio");

const account = "ACac000000000000000000000000000001";
const participant = `/2010-04-01/Accounts/${account}/Conferences/CFcf000000000000000000000000000001/Participants/agent.json`;
const headers = { Authorization: "Basic " + btoa(`${account}:00112233445566778899aabbccddeeff`) };

test("a fault and the journal", async () => {
  const fault = JSON.stringify({ participant: "agent", status: 503 });
  const armed = await fetch(`${twilio.url}/sandbox/faults`, { method: "POST", body: fault });
  expect(armed.status).toBe(201);
  const body = new URLSearchParams({ Muted: "true" });
  const mute = async () => (await fetch(twilio.url + participant, { method: "POST", body, headers })).status;
  expect([await mute(), await mute()]).toEqual([503, 200]);
  const journal = await (await fetch(`${twilio.url}/sandbox/journal?participant=agent&kind=request`)).json();
  expect(journal.entries.map(({ applied }) => applied)).toEqual([false, true]);
});

test("each test begins anew", async () => {
  const { entries } = await (await fetch(`${twilio.url}/sandbox/journal`)).json();
  expect(entries).toEqual([]);
  const answer = await fetch(twilio.url + participant, { headers });
  expect((await answer.json()).muted).toBe(false);
});
