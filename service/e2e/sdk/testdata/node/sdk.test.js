// Twilio's SDK for Node against the service and against the embedded Twilio
// behind it, whose base URLs are in SERVICE_URL and SANDBOX_URL.
'use strict';

const assert = require('node:assert/strict');
const { beforeEach, describe, test } = require('node:test');
const twilio = require('twilio');

const sandboxURL = process.env.SANDBOX_URL;
const serviceURL = process.env.SERVICE_URL;
assert.ok(sandboxURL && serviceURL, 'SANDBOX_URL and SERVICE_URL must be set');

const account = 'ACac000000000000000000000000000001';
const authToken = '00112233445566778899aabbccddeeff';
const conference = 'CFcf000000000000000000000000000001';
const agent = 'CAca000000000000000000000000000001';
const customer = 'CAca000000000000000000000000000002';
const supervisor = 'CAca000000000000000000000000000003';
const held = 'CAca000000000000000000000000000005';
const bell = 'https://a.example/bell.mp3';

// sdk is the SDK, pointed at a base URL.
function sdk(baseURL, options = {}) {
  const client = twilio(account, authToken, { maxRetryDelay: 1, ...options });
  client.api.baseUrl = baseURL;
  return client;
}

// participant is one of the conference's, by Call SID or by label. The SDK puts
// either into the path as it is.
function participant(client, key) {
  return client.conferences(conference).participants(encodeURIComponent(key));
}

async function state() {
  const answer = await fetch(`${sandboxURL}/sandbox/state`);
  return answer.json();
}

async function stateOf(find) {
  const { accounts } = await state();
  const { participants } = accounts[0].conferences.find((c) => c.sid === conference);
  return participants.find((p) => p.call_sid === find || p.label === find);
}

// rejected says that a promise is, with an error of the SDK's own type.
function rejected(promise, status, code) {
  return assert.rejects(promise, (error) => {
    assert.ok(error instanceof twilio.RestException, `the error is not the SDK's: ${error}`);
    assert.deepEqual({ status: error.status, code: error.code }, { status, code });
    assert.equal(error.moreInfo, `https://www.twilio.com/docs/errors/${code}`);
    assert.ok(error.message);
    return true;
  });
}

beforeEach(async () => {
  const answer = await fetch(`${sandboxURL}/sandbox/reset`, { method: 'POST' });
  assert.ok(answer.ok);
});

test('the example of docs/twilio-sdk.md', async () => {
  const [token, baseURL] = ['00112233', serviceURL];

  const client = twilio('uiweb', token, { accountSid: 'ACac000000000000000000000000000001' });
  client.api.baseUrl = baseURL;
  const participant = await client.conferences('CFcf000000000000000000000000000001')
    .participants(encodeURIComponent('front desk')).update({ muted: true });
  assert.equal(participant.muted, true);
});

const targets = [
  { name: 'service', url: serviceURL, isService: true },
  { name: 'sandbox', url: sandboxURL, isService: false },
];

for (const { name, url, isService } of targets) {
  // either is what is expected of the one and of the other.
  const either = (service, sandbox) => (isService ? service : sandbox);

  describe(name, () => {
    const client = sdk(url);

    test('updates by Call SID', async () => {
      const got = await participant(client, customer).update({ muted: true });
      const { dateCreated, dateUpdated, ...rest } = got.toJSON();
      assert.ok(dateCreated instanceof Date && dateUpdated >= dateCreated);
      assert.deepEqual(rest, {
        accountSid: account, callSid: customer, label: 'customer', callSidToCoach: null, coaching: false,
        conferenceSid: conference, endConferenceOnExit: false, muted: true, hold: false,
        startConferenceOnEnter: true, status: 'connected', queueTime: null,
        uri: `/2010-04-01/Accounts/${account}/Conferences/${conference}/Participants/${customer}.json`,
      });
    });

    for (const label of ['front desk', 'café', 'a+b', '100%', 'a?b#c', 'x.json']) {
      test(`updates by the label ${label}`, async () => {
        if (label !== 'front desk') {
          await sdk(sandboxURL).conferences(conference).participants.create({ from: '+15550100', to: '+15550101', label });
        }
        const got = await participant(client, label).update({ muted: true });
        assert.deepEqual({ label: got.label, muted: got.muted }, { label, muted: true });
        assert.equal((await stateOf(label)).muted, true);
      });
    }

    test('updates every property', async () => {
      const got = await participant(client, supervisor).update({
        muted: true, hold: false, holdUrl: 'https://a.example/hold?x=1&y=a+b#rc=2', holdMethod: 'POST',
        announceUrl: bell, announceMethod: 'GET', waitUrl: 'https://a.example/wait', waitMethod: 'GET',
        beepOnExit: true, endConferenceOnExit: true, coaching: true, callSidToCoach: agent,
      });
      assert.deepEqual(
        [got.muted, got.hold, got.endConferenceOnExit, got.coaching, got.callSidToCoach],
        [true, false, true, true, agent],
      );
      const held = await stateOf(supervisor);
      assert.deepEqual(
        [held.hold_url, held.hold_method, held.wait_url, held.wait_method, held.beep_on_exit],
        ['https://a.example/hold?x=1&y=a+b#rc=2', 'POST', 'https://a.example/wait', 'GET', true],
      );
      assert.deepEqual(held.announcements.map(({ url, method }) => [url, method]), [[bell, 'GET']]);
    });

    test('silences the wait with an empty URL', async () => {
      await participant(client, customer).update({ waitUrl: '' });
      assert.equal((await stateOf(customer)).wait_url, '');
    });

    test('tells the status and the request id', async () => {
      const { statusCode, headers, body } = await participant(client, customer).updateWithHttpInfo({ hold: true });
      assert.deepEqual([statusCode, body.hold], [200, true]);
      assert.match(headers['twilio-request-id'], /^RQ[0-9a-f]{32}$/);
    });

    test('fetches, updates and removes a participant of a conference found by name', async () => {
      const [found, ...others] = await client.conferences.list({ friendlyName: 'Support', status: 'in-progress' });
      assert.deepEqual([found.sid, others], [conference, []]);
      const fetched = await participant(client, customer).fetch();
      assert.equal((await fetched.update({ muted: true })).muted, true);
      assert.equal(await fetched.remove(), true);
      await rejected(fetched.fetch(), 404, 20404);
    });

    test('follows the pages of both lists', async () => {
      const participants = await client.conferences(conference).participants.list({ pageSize: 2 });
      assert.deepEqual(participants.map((p) => p.callSid), [1, 2, 3, 4, 5].map((n) => agent.slice(0, -1) + n));
      assert.equal((await client.conferences.list({ pageSize: 1 })).length, 3);
      const page = await client.conferences(conference).participants.page({ pageSize: 2 });
      assert.ok(page.nextPageUrl.startsWith(url));
      const back = await (await page.nextPage()).previousPage();
      assert.deepEqual(back.instances.map((p) => p.callSid), page.instances.map((p) => p.callSid));
    });

    test('shows a conference', async () => {
      const { sid, friendlyName, status, subresourceUris } = await client.conferences(conference).fetch();
      assert.deepEqual([sid, friendlyName, status], [conference, 'Support', 'in-progress']);
      assert.ok(subresourceUris.participants);
    });

    const failures = [
      ['a participant who is not there', 'nobody', { muted: true }, [404, 20404], [404, 20404]],
      ['coaching somebody on hold', customer, { callSidToCoach: held }, [400, 16027], [400, 16027]],
      ['a URL that is none', customer, { holdUrl: 'hold' }, [400, 20001], [400, 21205]],
      ['rejected credentials of the service', 'fault:401', { muted: true }, [500, 20500], [401, 20003]],
      ['an outage', 'fault:503', { muted: true }, [503, 20503], [503, 20503]],
      ['an outage, announcing', 'fault:503', { announceUrl: bell }, [424, 20503], [503, 20503]],
      ['a rate limit', 'fault:429', { announceUrl: bell }, [429, 20429], [429, 20429]],
    ];
    for (const [what, who, change, service, sandbox] of failures) {
      test(`throws its own error: ${what}`, () => rejected(participant(client, who).update(change), ...either(service, sandbox)));
    }

    // The service tries four times by itself before it passes a 429 on.
    test('does not try again after a 429 unless told to', async () => {
      await rejected(participant(client, 'fault:429x5').update({ muted: true }), 429, 20429);
      assert.deepEqual((await state()).faults_served, { 429: either(4, 1) });
    });

    test('tries again after a 429 when told to', async () => {
      const patient = sdk(url, { autoRetry: true, maxRetries: 5 });
      const got = await participant(patient, 'fault:429x5').update({ announceUrl: bell });
      assert.equal(got.label, 'fault:429x5');
      assert.deepEqual((await state()).faults_served, { 429: 5 });
      assert.equal((await stateOf('fault:429x5')).announcements.length, 1);
    });

    test('never repeats an announcement that may have been played', async () => {
      const patient = sdk(url, { autoRetry: true, maxRetries: 5 });
      await rejected(participant(patient, 'fault:500-after').update({ announceUrl: bell }), either(424, 500), 20500);
      assert.equal((await stateOf('fault:500-after')).announcements.length, 1);
    });
  });
}

test('the service says that it does not have the other operations', async () => {
  const client = sdk(serviceURL);
  const create = { from: '+15550100', to: '+15550101' };
  await rejected(client.conferences(conference).participants.create(create), 405, 20004);
  await rejected(client.conferences(conference).update({ status: 'completed' }), 405, 20004);
});

test('the sandbox lists by pages', async () => {
  const { participants } = sdk(sandboxURL).conferences(conference);
  assert.deepEqual(
    (await participants.list({ pageSize: 2 })).map((p) => p.label),
    ['agent', 'customer', 'supervisor', 'front desk', null],
  );
  assert.deepEqual((await participants.list({ hold: true })).map((p) => p.callSid), [held]);
});

test('the sandbox rejects wrong credentials', async () => {
  const client = twilio(account, 'wrong');
  client.api.baseUrl = sandboxURL;
  await rejected(participant(client, customer).update({ muted: true }), 401, 20003);
});
