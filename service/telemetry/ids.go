package telemetry

import (
	"cmp"
	"strings"
)

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
	if len(text) != 36 {
		return false
	}
	groups := strings.Split(text, "-")
	return len(groups) == 5 && len(groups[0]) == 8 && len(groups[1]) == 4 &&
		len(groups[2]) == 4 && len(groups[3]) == 4 && isHex(strings.Join(groups, ""))
}

func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}
