"""What a contact centre does to a call, over gRPC. SANDBOX_GRPC is the address of the
service, and SANDBOX_TWILIO that of the embedded Twilio behind it."""

import json
import os
import unittest
import urllib.parse
import urllib.request

import grpc
from conference.v1 import conference_service_pb2 as api
from conference.v1 import conference_service_pb2_grpc as stubs
from google.rpc import error_details_pb2, status_pb2

TWILIO = os.environ["SANDBOX_TWILIO"]
CONFERENCE = "CFcf000000000000000000000000000001"
AGENT = "CAca000000000000000000000000000001"
FRONT_DESK = "CAca000000000000000000000000000004"


def sandbox(path, data=None):
    """Calls one of the embedded Twilio's own pages."""
    with urllib.request.urlopen(TWILIO + "/sandbox/" + path, data) as answer:
        return json.loads(answer.read() or "null")


def conference():
    return sandbox("state")["accounts"][0]["conferences"][0]


def state(label):
    return next(p for p in conference()["participants"] if p["label"] == label)


def requests(label):
    """Returns the fault of each update, and whether it was applied."""
    entries = sandbox("journal?kind=request&participant=" + urllib.parse.quote(label))["entries"]
    return [(e["fault"], e["applied"]) for e in entries if e["operation"] == "update"]


def info(error):
    """Returns the reason and the metadata of an error."""
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    details = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(details)
    return details.reason, details.metadata


class ContactCentre(unittest.TestCase):
    def setUp(self):
        sandbox("reset", b"")
        channel = grpc.insecure_channel(os.environ["SANDBOX_GRPC"])
        self.addCleanup(channel.close)
        self.client = stubs.ConferenceServiceStub(channel)

    def update(self, participant, **properties):
        request = api.UpdateParticipantRequest(conference_sid=CONFERENCE, call_sid=participant, **properties)
        return self.client.UpdateParticipant(request, timeout=30).participant

    def arm(self, **fault):
        sandbox("faults", json.dumps(fault).encode())

    def test_hold(self):
        music = "https://example.com/music.mp3"
        self.assertTrue(self.update("customer", hold=True, hold_url=music).hold)
        self.assertEqual(state("customer")["playing"]["url"], music)
        sandbox("advance", b"by=5s")  # The music plays once.
        self.assertNotIn("playing", state("customer"))
        self.assertFalse(self.update("customer", hold=False).hold)

    def test_coach(self):
        coach = self.update("supervisor", muted=True, call_sid_to_coach=AGENT)
        self.assertEqual((coach.muted, coach.coaching, coach.call_sid_to_coach), (True, True, AGENT))
        self.assertFalse(self.update("supervisor", coaching=False).coaching)

    def test_whisper(self):
        """The supervisor is heard by the agent alone."""
        self.update("supervisor", call_sid_to_coach=AGENT)
        with urllib.request.urlopen(TWILIO) as board:
            cells = board.read().decode().split('title="hears as a whisper"')
        self.assertEqual(len(cells), 2)

    def test_warm_transfer(self):
        self.update("customer", hold=True)
        self.update(FRONT_DESK, muted=False)
        self.update("agent", announce_url="https://example.com/transfer.mp3")
        self.update("customer", hold=False)
        self.update("agent", end_conference_on_exit=False)
        self.client.RemoveParticipant(
            api.RemoveParticipantRequest(conference_sid=CONFERENCE, call_sid="agent"), timeout=30
        )
        listed = self.client.ListParticipants(api.ListParticipantsRequest(conference_sid=CONFERENCE, hold=False), timeout=30)
        self.assertEqual([p.label for p in listed.participants], ["customer", "supervisor", "front desk"])
        self.assertEqual(conference()["status"], "in-progress")

    def test_hang_up(self):
        sandbox("hangup", f"ConferenceSid={CONFERENCE}&CallSid=customer".encode())
        with self.assertRaises(grpc.RpcError) as raised:
            self.update("customer", muted=True)
        reason, metadata = info(raised.exception)
        self.assertEqual((reason, metadata["applied"]), ("PARTICIPANT_NOT_FOUND", "no"))

    def test_rate_limit(self):
        self.arm(participant="customer", kind="429", times=2)
        self.assertTrue(self.update("customer", muted=True).muted)
        self.assertEqual(requests("customer"), [("429", False), ("429", False), ("", True)])

    def test_lost_answer(self):
        self.arm(participant="customer", kind="reset-after")
        self.assertTrue(self.update("customer", muted=True).muted)  # It is repeated.
        self.assertEqual(requests("customer"), [("reset-after", True), ("", True)])

        self.arm(participant="agent", kind="reset-after")
        with self.assertRaises(grpc.RpcError) as raised:
            self.update("agent", announce_url="https://example.com/once.mp3")
        self.assertEqual(info(raised.exception)[1]["applied"], "maybe")
        self.assertEqual(len(state("agent")["announcements"]), 1)


if __name__ == "__main__":
    unittest.main()
