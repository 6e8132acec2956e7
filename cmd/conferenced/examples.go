package main

import (
	"fmt"
	"net"
	"regexp"
	"strings"

	"conferenced/service/server"
)

// examples makes commands that call a server, as they can be copied into a shell.
type examples struct {
	grpc, rest, admin string // The last two are URLs.
	// grpcFlags and curlFlags begin with a space, or are empty.
	grpcFlags, curlFlags string
	// needed is what the reader has to set first, or empty.
	needed string
	// hasReflection and hasDocs say whether the server has them.
	hasReflection, hasDocs bool
}

// examplesFor returns the examples for a server with its addresses bound.
func examplesFor(s *server.Server, cfg server.Config) *examples {
	known := cfg.Settings.Current()
	e := &examples{
		grpc: reachable(s.GRPC), rest: "http://" + reachable(s.HTTP), admin: "http://" + reachable(s.Admin),
		grpcFlags: " -plaintext", hasReflection: !cfg.NoReflection, hasDocs: !cfg.NoDocs,
	}
	if known.Certificate != nil {
		e.rest, e.grpcFlags, e.curlFlags = "https://"+reachable(s.HTTP), " -insecure", " -k"
	}
	switch callers := known.Callers; {
	case callers.Tokens != nil || callers.JWT != nil:
		e.needed = "Callers are authenticated. Set TOKEN to a " + strings.Join(callers.Kinds(), " or ") + " first."
		const header = ` -H "Authorization: Bearer $TOKEN"`
		e.grpcFlags += header
		e.curlFlags += header
	case callers.ClientCAs != nil:
		e.needed = "Callers are authenticated. Set CERT and KEY to the files of a client certificate and its key first."
		e.grpcFlags += ` -cert "$CERT" -key "$KEY"`
		e.curlFlags += ` --cert "$CERT" --key "$KEY"`
	}
	return e
}

// reachable returns the address of a listener as a client on the same machine writes it.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}

// grpcurl returns a command that calls a method with a message in JSON.
func (e *examples) grpcurl(method, message string) string {
	return fmt.Sprintf("grpcurl%s -d %s %s conference.v1.ConferenceService/%s", e.grpcFlags, shellQuote(message), shellQuote(e.grpc), method)
}

// curl returns a command that requests a path of REST; the body may be empty.
func (e *examples) curl(method, path, body string) string {
	command := "curl"
	if method != "GET" {
		command += " -X " + method
	}
	command += " " + shellQuote(e.rest+path)
	if body != "" {
		command += " -H 'Content-Type: application/json' -d " + shellQuote(body)
	}
	return command + e.curlFlags
}

// plain matches arguments that no shell changes.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.:/%@+-]+$`)

// shellQuote quotes an argument for a POSIX shell, if necessary.
func shellQuote(argument string) string {
	if plain.MatchString(argument) {
		return argument
	}
	return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
}
