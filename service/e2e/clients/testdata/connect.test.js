// The errors of the service, with Connect-ES.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { ConferenceService } from './conference/v1/conference_service_pb.js'
import { BadRequestSchema, ErrorInfoSchema } from './google/rpc/error_details_pb.js'

test('an invalid call', async () => {
  const client = createClient(ConferenceService, createGrpcTransport({ baseUrl: `http://${process.env.SANDBOX_GRPC}` }))
  const options = { timeoutMs: 5000, headers: { authorization: `Bearer ${process.env.TOKEN}` } }
  const error = await client.updateParticipant({ conferenceSid: 'CF1', callSid: 'x', muted: true }, options).catch((error) => error)
  assert.ok(error instanceof ConnectError)
  assert.equal(error.code, Code.InvalidArgument)
  const [info] = error.findDetails(ErrorInfoSchema)
  assert.deepEqual([info.reason, info.domain, info.metadata.applied], ['INVALID_REQUEST', 'conferenced', 'no'])
  const [bad] = error.findDetails(BadRequestSchema)
  assert.deepEqual(bad.fieldViolations.map(({ field }) => field), ['conference_sid'])
})
