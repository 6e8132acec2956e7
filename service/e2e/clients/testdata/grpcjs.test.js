// The errors of the service, repeated updates, and the service config, with grpc-js.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'

const files = ['conference/v1/conference_service.proto', 'google/rpc/status.proto', 'google/rpc/error_details.proto']
const { conference, google } = grpc.loadPackageDefinition(loader.loadSync(files, { includeDirs: ['api'], keepCase: true, longs: Number }))
const { ConferenceService } = conference.v1
const serviceConfig = fs.readFileSync('api/service_config.json', 'utf8')

test('the descriptor set has the same methods', () => {
  const set = loader.loadFileDescriptorSetFromBuffer(fs.readFileSync('api/descriptors.binpb'))
  assert.deepEqual(Object.keys(set['conference.v1.ConferenceService']), Object.keys(ConferenceService.service))
})

test('an invalid call', async () => {
  const client = new ConferenceService(process.env.SANDBOX_GRPC, grpc.credentials.createInsecure())
  const metadata = grpc.Metadata.fromHttp2Headers({ authorization: `Bearer ${process.env.TOKEN}` })
  const error = await new Promise((resolve) => {
    client.UpdateParticipant({ conference_sid: 'CF1', call_sid: 'x', muted: true }, metadata, { deadline: Date.now() + 5000 }, resolve)
  })
  client.close()
  const { details } = google.rpc.Status.deserialize(error.metadata.get('grpc-status-details-bin')[0])
  const info = google.rpc.ErrorInfo.deserialize(details[0].value)
  assert.deepEqual([info.reason, info.domain, info.metadata.applied], ['INVALID_REQUEST', 'conferenced', 'no'])
  const { field_violations: violations } = google.rpc.BadRequest.deserialize(details[1].value)
  assert.deepEqual(violations.map(({ field }) => field), ['conference_sid'])
})

// update makes an update and repeats it while that can help and does no harm, at most
// until the deadline.
async function update(client, request, metadata, deadline) {
  request.request_id = crypto.randomUUID()
  for (;;) {
    const { error, response } = await new Promise((resolve) => {
      client.UpdateParticipant(request, metadata, { deadline }, (error, response) => resolve({ error, response }))
    })
    if (!error) return response
    const delay = repeatAfter(request, error)
    if (delay === undefined || Date.now() + delay >= deadline) throw error
    await new Promise((resolve) => setTimeout(resolve, delay))
  }
}

// repeatAfter returns after how many milliseconds an update that ended with this error
// should be repeated, or undefined. It gives the request a new request_id if it needs one.
function repeatAfter(request, error) {
  const [status] = error.metadata.get('grpc-status-details-bin')
  const details = status ? google.rpc.Status.deserialize(status).details : []
  const detail = (name) => {
    const found = details.find(({ type_url: url }) => url.endsWith(`/google.rpc.${name}`))
    return found && google.rpc[name].deserialize(found.value)
  }
  const again = error.code === grpc.status.UNAVAILABLE ? 100 : undefined
  switch (detail('ErrorInfo')?.metadata.applied) {
    case 'no': { // It was not applied. RetryInfo says whether repeating it can help.
      const delay = detail('RetryInfo')?.retry_delay
      return delay && (delay.seconds ?? 0) * 1000 + (delay.nanos ?? 0) / 1e6
    }
    case 'maybe': // UNAVAILABLE says that repeating it does no harm.
      request.request_id = crypto.randomUUID()
      return again
    case undefined: // There was no answer. The request_id keeps it from being applied twice.
      return again
  }
}

// serve answers the calls of every method with handle, and returns the server's port.
async function serve(t, handle) {
  const server = new grpc.Server()
  const handlers = Object.keys(ConferenceService.service).map((name) => [name, (call, answer) => handle(name, call, answer)])
  server.addService(ConferenceService.service, Object.fromEntries(handlers))
  t.after(() => server.forceShutdown())
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)))
  })
}

// dial returns a client of a port of this machine.
function dial(t, port, options) {
  const client = new ConferenceService(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options)
  t.after(() => client.close())
  return client
}

// failure returns an error with an ErrorInfo and, if there is a delay, a RetryInfo.
function failure(code, applied, delay) {
  const any = (name, value) => ({ type_url: `type.googleapis.com/google.rpc.${name}`, value: google.rpc[name].serialize(value) })
  const details = [any('ErrorInfo', { reason: 'X', domain: 'conferenced', metadata: { applied } })]
  if (delay) details.push(any('RetryInfo', { retry_delay: delay }))
  const metadata = new grpc.Metadata()
  metadata.set('grpc-status-details-bin', google.rpc.Status.serialize({ code, details }))
  return { code, metadata }
}

test('an update is repeated by what is known of it', async (t) => {
  const { UNAVAILABLE, RESOURCE_EXHAUSTED, UNKNOWN, NOT_FOUND } = grpc.status
  const tests = {
    'no answer': { error: { code: UNAVAILABLE }, calls: 2, ids: 1 },
    'not applied, with a delay': { error: failure(RESOURCE_EXHAUSTED, 'no', { nanos: 1_000_000 }), calls: 2, ids: 1 },
    'not applied, without a delay': { error: failure(NOT_FOUND, 'no'), calls: 1, ids: 1 },
    'not applied, with a delay after the deadline': { error: failure(RESOURCE_EXHAUSTED, 'no', { seconds: 60 }), calls: 1, ids: 1 },
    'may have been applied, and does no harm': { error: failure(UNAVAILABLE, 'maybe'), calls: 2, ids: 2 },
    'may have been applied': { error: failure(UNKNOWN, 'maybe'), calls: 1, ids: 1 },
    'applied': { error: failure(grpc.status.INTERNAL, 'yes'), calls: 1, ids: 1 },
  }
  for (const [name, { error, calls, ids }] of Object.entries(tests)) {
    await t.test(name, async (t) => {
      const seen = []
      const port = await serve(t, (_, call, answer) => {
        seen.push(call.request.request_id)
        seen.length === 1 ? answer(error) : answer(null, {})
      })
      const result = update(dial(t, port), { muted: true }, new grpc.Metadata(), Date.now() + 30_000)
      await (calls > 1 ? result : assert.rejects(result, { code: error.code }))
      assert.equal(seen.length, calls)
      assert.equal(new Set(seen).size, ids)
    })
  }
})

test('the service config repeats reads alone, and sets a deadline', async (t) => {
  const attempts = {}
  const port = await serve(t, (name, call, answer) => {
    attempts[name] = (attempts[name] ?? 0) + 1
    assert.ok(call.getDeadline() - Date.now() <= 10_000)
    answer({ code: grpc.status.UNAVAILABLE })
  })
  const client = dial(t, port, { 'grpc.service_config': serviceConfig })
  for (const name of Object.keys(ConferenceService.service)) {
    const error = await new Promise((resolve) => client[name]({}, resolve))
    assert.equal(error.code, grpc.status.UNAVAILABLE, name)
    assert.equal(attempts[name], /^(Get|List)/.test(name) ? 4 : 1, name)
  }
})
