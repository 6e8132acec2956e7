"""Makes an invalid call and decodes the ErrorInfo and the BadRequest of its error."""

import os
import unittest

import grpc
from conference.v1 import conference_service_pb2, conference_service_pb2_grpc
from google.rpc import error_details_pb2, status_pb2


class Errors(unittest.TestCase):
    def test_invalid_call(self):
        with grpc.insecure_channel(os.environ["SANDBOX_GRPC"]) as channel:
            client = conference_service_pb2_grpc.ConferenceServiceStub(channel)
            with self.assertRaises(grpc.RpcError) as raised:
                client.UpdateParticipant(
                    conference_service_pb2.UpdateParticipantRequest(conference_sid="CF1", call_sid="x", muted=True),
                    timeout=5,
                    metadata=[("authorization", "Bearer " + os.environ["TOKEN"])],
                )
        trailers = dict(raised.exception.trailing_metadata())
        details = status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details
        info = error_details_pb2.ErrorInfo()
        self.assertTrue(details[0].Unpack(info))
        self.assertEqual((info.reason, info.domain, info.metadata["applied"]), ("INVALID_REQUEST", "conferenced", "no"))
        bad = error_details_pb2.BadRequest()
        self.assertTrue(details[1].Unpack(bad))
        self.assertEqual([violation.field for violation in bad.field_violations], ["conference_sid"])


if __name__ == "__main__":
    unittest.main()
