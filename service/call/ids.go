package call

import (
	"strings"

	"github.com/google/uuid"

	"conferenced/service/sids"
)

// IsAPI reports whether a full gRPC method belongs to the API.
func IsAPI(method string) bool { return strings.HasPrefix(method, "/conference.") }

// Describe records the method of a call and the IDs in its request.
func (c *Call) Describe(method string, request any) {
	c.Method, c.Operation = method, operationOf(method)
	if named, ok := request.(interface{ GetAccountSid() string }); ok {
		c.AccountSID = only(named.GetAccountSid(), sids.IsAccount)
	}
	if named, ok := request.(interface{ GetConferenceSid() string }); ok {
		c.ConferenceSID = only(named.GetConferenceSid(), sids.IsConference)
	}
	if named, ok := request.(interface{ GetCallSid() string }); ok {
		c.CallSID = only(named.GetCallSid(), sids.IsCall)
	}
	if named, ok := request.(interface{ GetRequestId() string }); ok {
		c.RequestID = only(named.GetRequestId(), isUUID)
	}
}

// operationOf returns the operation of a full gRPC method, by the verb in its name.
func operationOf(method string) Operation {
	if !IsAPI(method) {
		return ""
	}
	name := method[strings.LastIndexByte(method, '/')+1:]
	switch {
	case strings.HasPrefix(name, "Update"):
		return Update
	case strings.HasPrefix(name, "Remove"):
		return Remove
	default:
		return Read
	}
}

// only returns the text if it is an ID; any other text may be a name.
func only(text string, isID func(string) bool) string {
	if !isID(text) {
		return ""
	}
	return text
}

// isUUID reports whether the text is hexadecimal digits in groups of 8, 4, 4, 4
// and 12.
func isUUID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }
