package service

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/twilio"
)

func BenchmarkTranslateRequest(b *testing.B) {
	for name, request := range benchmarked {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Change(request)
			}
		})
	}
}

func BenchmarkTranslateAnswer(b *testing.B) {
	date, path := "Fri, 18 Feb 2011 21:07:19 +0000", "/2010-04-01/Accounts/"+accountSID
	answer := &twilio.Participant{
		AccountSID: new(accountSID), CallSID: new(callSID), ConferenceSID: new(conferenceSID),
		Coaching: new(false), EndConferenceOnExit: new(false), Muted: new(true), Hold: new(false), StartConferenceOnEnter: new(true),
		DateCreated: &date, DateUpdated: &date, Status: "connected", QueueTime: new("1000"), URI: &path,
	}
	b.ReportAllocs()
	for b.Loop() {
		participantOf(answer)
	}
}

func BenchmarkValidate(b *testing.B) {
	intercept, err := Validate()
	if err != nil {
		b.Fatal(err)
	}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	for name, request := range benchmarked {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := intercept(b.Context(), request, nil, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchmarked are the usual update and the largest.
var benchmarked = map[string]*conferencev1.UpdateParticipantRequest{
	"mute": {ConferenceSid: conferenceSID, CallSid: callSID, Muted: proto.Bool(true)},
	"everything": {
		AccountSid: accountSID, ConferenceSid: conferenceSID, CallSid: callSID,
		Muted: proto.Bool(true), Hold: proto.Bool(true),
		HoldUrl: proto.String("https://example.com/hold.xml#rc=2"), HoldMethod: conferencev1.HttpMethod_HTTP_METHOD_GET,
		AnnounceUrl: proto.String("https://example.com/announce.xml"), AnnounceMethod: conferencev1.HttpMethod_HTTP_METHOD_POST,
		WaitUrl: proto.String("https://example.com/wait.xml"), WaitMethod: conferencev1.HttpMethod_HTTP_METHOD_GET,
		BeepOnExit: proto.Bool(true), EndConferenceOnExit: proto.Bool(true),
		Coaching: proto.Bool(true), CallSidToCoach: proto.String(callSID),
		RequestId: "6f4f5b1e-9d3f-4c5a-8e57-0c1d2e3f4a5b",
	},
}
