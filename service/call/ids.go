package call

import "strings"

// IsAPI reports whether a full gRPC method belongs to the API.
func IsAPI(method string) bool { return strings.HasPrefix(method, "/conference.") }

// Describe records the method of a call and the IDs in its request.
func (c *Call) Describe(method string, request any) {
	c.Method, c.Operation = method, operationOf(method)
	if named, ok := request.(interface{ GetAccountSid() string }); ok {
		c.AccountSID = only(named.GetAccountSid(), IsAccountSID(named.GetAccountSid()))
	}
	if named, ok := request.(interface{ GetConferenceSid() string }); ok {
		c.ConferenceSID = only(named.GetConferenceSid(), IsConferenceSID(named.GetConferenceSid()))
	}
	if named, ok := request.(interface{ GetCallSid() string }); ok {
		c.CallSID = only(named.GetCallSid(), IsCallSID(named.GetCallSid()))
	}
	if named, ok := request.(interface{ GetRequestId() string }); ok {
		c.RequestID = only(named.GetRequestId(), isUUID(named.GetRequestId()))
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

func only(id string, ok bool) string {
	if !ok {
		return ""
	}
	return id
}

// IsCallSID reports whether the text has the syntax of a Call SID.
func IsCallSID(text string) bool { return isSID("CA", text) }

// IsAccountSID reports whether the text has the syntax of an Account SID.
func IsAccountSID(text string) bool { return isSID("AC", text) }

// IsConferenceSID reports whether the text has the syntax of a Conference SID.
func IsConferenceSID(text string) bool { return isSID("CF", text) }

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
