package telemetry

import "cmp"

// ids are what may be written down of whom a call is about. Each is empty unless
// it has the form of an id: anything else may be a name.
type ids struct{ account, conference, call, request string }

// idsOf are the ids of a request and of what is known of its call.
func idsOf(request any, call *Call) ids {
	named, ok := request.(interface {
		GetAccountSid() string
		GetConferenceSid() string
		GetCallSid() string
		GetRequestId() string
	})
	if !ok {
		return ids{}
	}
	found := ids{
		account:    cmp.Or(call.AccountSID, named.GetAccountSid()),
		conference: named.GetConferenceSid(),
		call:       named.GetCallSid(),
		request:    named.GetRequestId(),
	}
	blank := func(id *string, ok bool) {
		if !ok {
			*id = ""
		}
	}
	blank(&found.account, isSID("AC", found.account))
	blank(&found.conference, isSID("CF", found.conference))
	blank(&found.call, isSID("CA", found.call))
	blank(&found.request, isUUID(found.request))
	return found
}

// isSID says whether the text has the form of one of Twilio's SIDs: a prefix of
// two letters and 32 hexadecimal digits.
func isSID(prefix, text string) bool {
	return len(text) == 34 && text[:2] == prefix && isHex(text[2:])
}

// isUUID says whether the text has the form of a UUID: groups of 8, 4, 4, 4 and
// 12 hexadecimal digits.
func isUUID(text string) bool {
	return len(text) == 36 &&
		text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' &&
		isHex(text[:8]) && isHex(text[9:13]) && isHex(text[14:18]) && isHex(text[19:23]) && isHex(text[24:])
}

func isHex(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
