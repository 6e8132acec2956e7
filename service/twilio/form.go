package twilio

import (
	"net/url"

	"conferenced/service/property"
)

// AppendForm appends the properties to dst, encoded as
// application/x-www-form-urlencoded in the order of the properties, and returns the
// result.
func AppendForm(dst []byte, change *property.Values) []byte {
	separator := ""
	for p := range change.Set().Each() {
		dst = append(dst, separator+p.FormKey()+"="+url.QueryEscape(change.Get(p))...)
		separator = "&"
	}
	return dst
}
