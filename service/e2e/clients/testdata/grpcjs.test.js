// The errors of the service, and the service config, with grpc-js.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'

const files = ['conference/v1/conference_service.proto', 'google/rpc/status.proto', 'google/rpc/error_details.proto']
const { conference, google } = grpc.loadPackageDefinition(loader.loadSync(files, { includeDirs: ['api'], keepCase: true }))
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

test('the service config repeats reads alone, and sets a deadline', async () => {
  const attempts = {}
  const server = new grpc.Server()
  const unavailable = (name) => (call, answer) => {
    attempts[name] = (attempts[name] ?? 0) + 1
    assert.ok(call.getDeadline() - Date.now() <= 10_000)
    answer({ code: grpc.status.UNAVAILABLE })
  }
  const names = Object.keys(ConferenceService.service)
  server.addService(ConferenceService.service, Object.fromEntries(names.map((name) => [name, unavailable(name)])))
  const port = await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)))
  })
  const client = new ConferenceService(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.service_config': serviceConfig })
  for (const name of names) {
    const error = await new Promise((resolve) => client[name]({}, resolve))
    assert.equal(error.code, grpc.status.UNAVAILABLE, name)
    assert.equal(attempts[name], /^(Get|List)/.test(name) ? 4 : 1, name)
  }
  client.close()
  server.forceShutdown()
})
