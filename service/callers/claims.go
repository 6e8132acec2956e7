package callers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// claims is a JWT's claims by their exact names. A duplicate name is an error,
// because programs could use different values of it.
type claims struct{ jwt.MapClaims }

// ParseClaims returns the claims of a JWT, given as JSON, as [Caller.Claims] has them.
func ParseClaims(text []byte) (map[string][]string, error) {
	read := new(claims)
	if err := json.Unmarshal(text, read); err != nil {
		return nil, err
	}
	return read.texts(), nil
}

// UnmarshalJSON is called with valid JSON.
func (c *claims) UnmarshalJSON(text []byte) error {
	c.MapClaims = jwt.MapClaims{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return errors.New("the claims are not an object")
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		name, _ := token.(string)
		if _, twice := c.MapClaims[name]; twice {
			return errors.New("a claim is given twice")
		}
		c.MapClaims[name] = value
	}
	return nil
}

// Validate is called by the library after its own checks. It refuses times that
// are not in the years 1970 to 9999: their arithmetic can overflow.
func (c *claims) Validate() error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		value, ok := c.MapClaims[name]
		if !ok {
			continue
		}
		number, _ := value.(json.Number)
		seconds, err := number.Float64()
		if err != nil || seconds < 0 || seconds > 253402300799 {
			return fmt.Errorf("%s is not a time", name)
		}
	}
	return nil
}

// texts returns the claims for which textsOf returns texts.
func (c *claims) texts() map[string][]string {
	byName := make(map[string][]string, len(c.MapClaims))
	for name, value := range c.MapClaims {
		if texts := textsOf(value); len(texts) > 0 {
			byName[name] = texts
		}
	}
	if scope, ok := c.MapClaims["scope"].(string); ok { // RFC 8693: a list with spaces.
		byName["scope"] = strings.Fields(scope)
	}
	return byName
}

// textsOf returns the texts of a claim that is a string, a number, a boolean or a
// list of these only.
func textsOf(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case json.Number:
		return []string{value.String()}
	case bool:
		return []string{fmt.Sprint(value)}
	case []any:
		var texts []string
		for _, element := range value {
			text := textsOf(element)
			if _, nested := element.([]any); nested || text == nil {
				return nil
			}
			texts = append(texts, text...)
		}
		return texts
	default:
		return nil
	}
}
