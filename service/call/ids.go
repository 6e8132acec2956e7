package call

import "strings"

// IsAPI reports whether a full gRPC method belongs to the API.
func IsAPI(method string) bool { return strings.HasPrefix(method, "/conference.") }

// Describe records the IDs in a request.
func (c *Call) Describe(request any) {
	named, ok := request.(interface {
		GetAccountSid() string
		GetConferenceSid() string
		GetCallSid() string
		GetRequestId() string
	})
	if !ok {
		return
	}
	c.AccountSID = only(named.GetAccountSid(), isSID("AC", named.GetAccountSid()))
	c.ConferenceSID = only(named.GetConferenceSid(), isSID("CF", named.GetConferenceSid()))
	c.CallSID = only(named.GetCallSid(), IsCallSID(named.GetCallSid()))
	c.RequestID = only(named.GetRequestId(), isUUID(named.GetRequestId()))
}

func only(id string, ok bool) string {
	if !ok {
		return ""
	}
	return id
}

// IsCallSID reports whether the text has the syntax of a Call SID.
func IsCallSID(text string) bool { return isSID("CA", text) }

// isSID reports whether the text is a prefix of two letters and 32 hexadecimal
// digits, as Twilio's SIDs are.
func isSID(prefix, text string) bool {
	return len(text) == 34 && text[:2] == prefix && isHex(text[2:])
}

// isUUID reports whether the text is hexadecimal digits in groups of 8, 4, 4, 4
// and 12.
func isUUID(text string) bool {
	return len(text) == 36 &&
		text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' &&
		isHex(text[:8]) && isHex(text[9:13]) && isHex(text[14:18]) && isHex(text[19:23]) && isHex(text[24:])
}

func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}
