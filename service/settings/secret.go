package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"conferenced/service/twilio"
)

// readSecret returns the secret that a file holds, without the line ends at its
// end. Its error names the file; it is one if the file cannot be read, is not a
// regular file, or is empty.
func readSecret(path string, read func(string) ([]byte, error)) (string, error) {
	text, err := read(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	secret := trimSecret(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s: is empty", path)
	}
	return secret, nil
}

// trimSecret returns text without the line ends at its end, and "" if it is white
// space only.
func trimSecret(text string) string {
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return strings.TrimRight(text, "\r\n")
}

// secret returns the secret that the node says where to find: {env: NAME} or
// {file: PATH}. What else stands there may be the secret itself and is not
// repeated.
func (p *accountsParser) secret(n *yaml.Node, path string) twilio.Secret {
	if !isPlace(n) {
		p.at(n, path, "must be {env: NAME} or {file: PATH}: a secret never stands in this file itself")
		return twilio.Secret{}
	}
	kind, where := n.Content[0].Value, n.Content[1]
	path += "." + kind
	name, ok := p.text(where, path)
	if !ok {
		return twilio.Secret{}
	}
	find := p.fromFile
	if kind == "env" {
		find = fromEnvironment
	}
	text, err := find(name)
	if err != nil {
		p.at(where, path, "%s", err)
		return twilio.Secret{}
	}
	return p.check(where, path, text)
}

// isPlace reports whether n is a mapping with one field, env or file.
func isPlace(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return false
	}
	key := n.Content[0]
	return key.Kind == yaml.ScalarNode && (key.Value == "env" || key.Value == "file")
}

// check returns text as a secret, after the rules of package twilio.
func (p *accountsParser) check(n *yaml.Node, path, text string) twilio.Secret {
	account := specimen()
	account.Password = twilio.NewSecret(text)
	if err := account.Validate(); err != nil {
		p.at(n, path, "%s", reason(err))
	}
	return account.Password
}

func (p *accountsParser) fromFile(path string) (string, error) {
	text, err := p.read(path)
	if err != nil {
		return "", fmt.Errorf("secret file%s: %w", quotePlace(path), err)
	}
	secret := trimSecret(string(text))
	if secret == "" {
		return "", fmt.Errorf("secret file%s: is empty", quotePlace(path))
	}
	return secret, nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func fromEnvironment(name string) (string, error) {
	if !variableName.MatchString(name) {
		return "", errors.New("must be the name of an environment variable")
	}
	secret := trimSecret(os.Getenv(name))
	if secret == "" {
		return "", fmt.Errorf("environment variable%s: is not set or empty", quotePlace(name))
	}
	return secret, nil
}

var (
	tokenLike = regexp.MustCompile(`[0-9A-Za-z]{24,}`)
	sidLike   = regexp.MustCompile(`(AC|SK)[0-9a-f]{32}`)
)

// quotePlace returns the name of a file or variable, or nothing if it looks like
// a secret that was written in its place.
func quotePlace(name string) string {
	if tokenLike.MatchString(sidLike.ReplaceAllString(name, "")) {
		return ""
	}
	return " " + name
}
