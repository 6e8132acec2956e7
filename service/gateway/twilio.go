package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	conferencev1 "conferenced/gen/conference/v1"
	"conferenced/service/outcome"
	"conferenced/service/telemetry"
)

const (
	// twilioRoot is how the paths of Twilio's API begin.
	twilioRoot = "/2010-04-01/"
	// twilioPath is the one that is served, followed by twilioEnding.
	twilioPath   = twilioRoot + "Accounts/{account_sid}/Conferences/{conference_sid}/Participants/{call_sid}"
	twilioEnding = ".json"
)

// isTwilio says whether a request is for Twilio's API. Then whatever is wrong
// with it is answered as Twilio would.
func isTwilio(r *http.Request) bool { return strings.HasPrefix(r.URL.EscapedPath(), twilioRoot) }

// twilioAPI serves Twilio's own update of a participant to callers who use one of
// Twilio's SDKs: a form in, Twilio's JSON out. In between it is the same call as
// any other.
type twilioAPI struct {
	route   *route
	service conferencev1.ConferenceServiceServer
	proxies []netip.Prefix
}

// withTwilio serves Twilio's paths, and the rest of the paths by next.
func withTwilio(
	next http.Handler, service conferencev1.ConferenceServiceServer, proxies []netip.Prefix,
) (http.Handler, error) {
	route, err := newRoute(twilioPath, new(conferencev1.UpdateParticipantRequest).ProtoReflect().Descriptor())
	if err != nil {
		return nil, err
	}
	api := &twilioAPI{route: route, service: service, proxies: proxies}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isTwilio(r) {
			api.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// ServeHTTP does not look at the query string: Twilio reads the fields of a POST
// in its body.
func (t *twilioAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	encoded, isJSON := strings.CutSuffix(r.URL.EscapedPath(), twilioEnding)
	path := splitEscaped(encoded)
	switch {
	case !t.route.matches(path):
		refuse(w, r, outcome.RouteNotFound.Status(outcome.Facts{
			Detail: "of Twilio's API, only the update of a conference participant is served here",
		}))
	case !isJSON:
		refuse(w, r, outcome.RouteNotFound.Status(outcome.Facts{
			Detail: "it must end in .json, for answers are JSON and never XML",
		}))
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, r, outcome.MethodNotAllowed.Status(outcome.Facts{
			Detail: "Twilio fetches and removes a participant here by GET and DELETE; this service updates it, by POST",
		}))
	default:
		t.update(w, r, path)
	}
}

func (t *twilioAPI) update(w http.ResponseWriter, r *http.Request, path []string) {
	form, refusal := readForm(r)
	if refusal != nil {
		refuse(w, r, refusal)
		return
	}
	request, ignored, violations := decodeForm(form)
	violations = append(t.route.checkPath(path), violations...)
	violations = append(violations, adoptIdempotencyKey(request, r.Header)...)
	if len(violations) > 0 {
		refuse(w, r, invalidForm(violations))
		return
	}
	request.AccountSid, request.ConferenceSid, request.CallSid = path[2], path[4], path[6]
	t.call(w, r, request, ignored)
}

func (t *twilioAPI) call(
	w http.ResponseWriter, r *http.Request, request *conferencev1.UpdateParticipantRequest, ignored ignoredFields,
) {
	var stream runtime.ServerTransportStream
	ctx := grpc.NewContextWithServerTransportStream(t.context(r, ignored), &stream)
	response, err := t.service.UpdateParticipant(ctx, request)
	for _, id := range stream.Header().Get(twilioRequestID) {
		w.Header().Set(twilioRequestID, id)
	}
	if err != nil {
		writeTwilioError(w, r, statusOf(ctx, err), request.AnnounceUrl != nil)
		return
	}
	writeTwilio(w, r, http.StatusOK, participantJSON(response.GetParticipant()))
}

// context is that of the call. Its metadata comes from the same headers as a
// call's over REST. The fields that were ignored are put down in
// [telemetry.Call].
func (t *twilioAPI) context(r *http.Request, ignored ignoredFields) context.Context {
	headers := metadata.MD{}
	for _, name := range []string{"Authorization", "Traceparent", "Tracestate"} {
		headers.Append(name, r.Header.Values(name)...)
	}
	ctx, call := telemetry.WithCall(withOrigin(r, ProtocolTwilio, t.proxies))
	call.IgnoredFields, call.IgnoredNames = ignored.count, ignored.names
	return metadata.NewIncomingContext(ctx, headers)
}
