package server

import (
	"errors"
	"fmt"
	"net"

	"conferenced/service/gateway"
	"conferenced/service/invalid"
)

// Validate returns nil, or an [invalid.FieldError] for each problem of the
// configuration, joined. It resolves the addresses, binds none, and opens nothing.
// Without Settings, it does not check what depends on them.
func (c *Config) Validate() error {
	var redisErr error
	if c.Redis.URL != "" {
		redisErr = c.Redis.Validate()
	}
	return errors.Join(
		c.checkAddresses(),
		c.checkPolicy(),
		invalid.Field("server.CORSOrigins", gateway.CheckOrigins(c.CORSOrigins)),
		c.checkAges(),
		c.Delivery.Validate(),
		redisErr,
	)
}

// address is one of the addresses of a server.
type address struct{ name, field, text string }

// addresses returns the addresses of gRPC, HTTP and admin.
func (c *Config) addresses() []address {
	return []address{
		{"grpc", "server.GRPCAddr", c.GRPCAddr},
		{"http", "server.HTTPAddr", c.HTTPAddr},
		{"admin", "server.AdminAddr", c.AdminAddr},
	}
}

// checkAddresses returns an error for each address that cannot be resolved, that must not
// be public, or that another listener takes.
func (c *Config) checkAddresses() error {
	type listener struct {
		name string
		addr *net.TCPAddr
	}
	var taken []listener
	var errs []error
	for _, a := range c.addresses() {
		resolved, err := resolve(a.text)
		if err != nil {
			errs = append(errs, invalid.Field(a.field, err))
			continue
		}
		errs = append(errs, invalid.Field(a.field, c.checkExposure(a, resolved)))
		for _, other := range taken {
			errs = append(errs, invalid.Unless(!overlap(other.addr, resolved),
				a.field, "%s is not free: %s listens on %s", resolved, other.name, other.addr))
		}
		taken = append(taken, listener{a.name, resolved})
	}
	return errors.Join(errs...)
}

func resolve(text string) (*net.TCPAddr, error) {
	if text == "" { // net would listen on all addresses, on any port.
		return nil, errors.New("is empty")
	}
	return net.ResolveTCPAddr("tcp", text)
}

// overlap reports whether only one listener can have the addresses.
func overlap(a, b *net.TCPAddr) bool {
	return a.Port == b.Port && a.Port != 0 && (includes(a.IP, b.IP) || includes(b.IP, a.IP))
}

// includes reports whether a listener on the IP address a gets connections to b.
func includes(a, b net.IP) bool {
	switch {
	case len(a) == 0, a.Equal(net.IPv6unspecified):
		return true
	case a.Equal(net.IPv4zero):
		return b.To4() != nil
	default:
		return a.Equal(b)
	}
}

// checkExposure returns an error if the address is not loopback although it must be:
// admin without AdminPublic, and the others without AllowAnonymous if callers are not
// authenticated.
func (c *Config) checkExposure(a address, resolved net.Addr) error {
	switch {
	case isLoopback(resolved):
		return nil
	case a.name == "admin" && !c.AdminPublic:
		return fmt.Errorf("%s is not a loopback address, and admin authenticates nobody: "+
			"allow it with --admin-public (CONFERENCED_ADMIN_PUBLIC)", resolved)
	case a.name != "admin" && c.anonymous() && !c.AllowAnonymous:
		return fmt.Errorf("%s is not a loopback address and callers are not authenticated: configure tokens, "+
			"JWTs or client certificates, or set --allow-anonymous (CONFERENCED_ALLOW_ANONYMOUS)", resolved)
	default:
		return nil
	}
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// anonymous reports whether callers are not authenticated.
func (c *Config) anonymous() bool {
	return c.Settings != nil && !c.Settings.Current().Callers.Authenticating()
}

// checkPolicy returns an error if callers are authenticated and there is no policy.
func (c *Config) checkPolicy() error {
	if c.Settings != nil && !c.anonymous() && c.Settings.Current().Callers.Policy == nil {
		return invalid.Fieldf("settings.Policy", "callers are authenticated, but there is no policy")
	}
	return nil
}
