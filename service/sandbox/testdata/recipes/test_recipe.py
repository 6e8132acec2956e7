import base64, json, urllib.error, urllib.parse, urllib.request

ACCOUNT, TOKEN = "ACac000000000000000000000000000001", "00112233445566778899aabbccddeeff"
PARTICIPANT = f"/2010-04-01/Accounts/{ACCOUNT}/Conferences/CFcf000000000000000000000000000001/Participants/agent.json"


def call(url, data=None):
    request = urllib.request.Request(url, data)
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


def test_fault_and_journal(twilio_url):
    status, _ = call(twilio_url + "/sandbox/faults", json.dumps({"participant": "agent", "status": 503}).encode())
    assert status == 201
    mute = urllib.parse.urlencode({"Muted": "true"}).encode()
    assert [call(twilio_url + PARTICIPANT, mute)[0] for _ in range(2)] == [503, 200]
    _, journal = call(twilio_url + "/sandbox/journal?participant=agent&kind=request")
    assert [(entry["applied"], entry["form"]) for entry in journal["entries"]] == [
        (False, {"Muted": ["true"]}),
        (True, {"Muted": ["true"]}),
    ]


def test_each_test_begins_anew(twilio_url):
    assert call(twilio_url + "/sandbox/journal")[1]["entries"] == []
    assert call(twilio_url + PARTICIPANT)[1]["muted"] is False
