package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

const redisCPU metric = "Redis µs/call"

// fleet is a row of the table of replicas: servers that are called in turn over REST.
type fleet struct {
	subject
	servers []*process
	redis   *process // nil: the state is in memory.
	load    updates
}

// updates are the updates that the callers make.
type updates struct {
	body   func(caller, n int) string
	target func(caller, n int) (conference, participant string)
}

// runReplicas measures conferenced with its state in memory and in Redis, and with two
// replicas.
func (b *bench) runReplicas(ctx context.Context, w io.Writer) error {
	fleets, err := b.startFleets(ctx)
	if err != nil {
		return err
	}
	m := measurements{}
	for round := range b.rounds {
		b.say("round %d of %d", round+1, b.rounds)
		first := round % len(fleets)
		for _, f := range slices.Concat(fleets[first:], fleets[:first]) {
			if err := f.measure(ctx, b.slice, m); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	var rows []subject
	for _, f := range fleets {
		rows = append(rows, f.subject)
	}
	t := tables{tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)}
	t.write(fmt.Sprintf("Replicas: REST, %d callers", usualCallers), rows, m,
		median(throughput, "%.0f"), median(p50, "%.2f"), median(p99, "%.1f"), median(cpu, "%.1f"),
		against("CPU × memory", cpu, ratio, itsOther), against("calls/s × memory", throughput, ratio, itsOther),
		median(redisCPU, "%.1f"))
	return t.Flush()
}

// startFleets starts a Redis, a server with its state in memory, and two replicas.
func (b *bench) startFleets(ctx context.Context) ([]fleet, error) {
	redis, address, err := b.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	var servers [3]*process
	for i, flags := range [][]string{nil, {"--redis-url", "redis://" + address}, {"--redis-url", "redis://" + address}} {
		if servers[i], err = b.start(ctx, "conferenced", b.stub, flags...); err != nil {
			return nil, err
		}
	}
	places := []fleet{
		{subject: subject{row: row{name: "memory"}}, servers: servers[:1]},
		{subject: subject{row: row{name: "Redis"}}, servers: servers[1:2], redis: redis},
		{subject: subject{row: row{name: "two replicas"}}, servers: servers[1:], redis: redis},
	}
	loads := []struct {
		name string
		load updates
	}{
		{"", updates{muting, distinct}},
		{", request IDs", updates{mutingOnce(), distinct}},
		{", one participant", updates{announcing, contended}},
	}
	var fleets []fleet
	for _, l := range loads {
		for _, f := range places {
			f.load, f.row = l.load, row{name: f.name + l.name, other: places[0].name + l.name}
			fleets = append(fleets, f)
		}
	}
	return fleets, nil
}

// startRedis starts a redis-server that stores nothing on disk.
func (b *bench) startRedis(ctx context.Context) (p *process, address string, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address = listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = listener.Close() // The port is free now.
	if p, err = b.spawn(ctx, "redis", path, "--bind", "127.0.0.1", "--port", port, "--save", ""); err != nil {
		return nil, "", err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			return p, address, conn.Close()
		}
	}
	return nil, "", errors.New("redis-server does not listen")
}

func distinct(caller, n int) (conference, participant string) {
	return conferenceOf(caller), participantFor(caller, n)
}

func contended(int, int) (conference, participant string) { return conferenceSID, callSID }

func muting(_, n int) string { return fmt.Sprintf(`{"muted": %t}`, n%2 == 0) }

// mutingOnce gives each update a request ID of its own.
func mutingOnce() func(caller, n int) string {
	var last atomic.Int64
	return func(_, n int) string {
		return fmt.Sprintf(`{"muted": %t, "request_id": "%08x-0000-4000-8000-%012x"}`, n%2 == 0, time.Now().Unix(), last.Add(1))
	}
}

// announcing is superseded by nothing, so each update is sent.
func announcing(int, int) string { return `{"announce_url": "https://example.com/hello.mp3"}` }

// measure measures the row for a slice, after a tenth of it that does not count.
func (f *fleet) measure(ctx context.Context, slice time.Duration, into measurements) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	defer transport.CloseIdleConnections()
	call := func(ctx context.Context, caller, n int) error { return f.call(ctx, transport, caller, n) }
	if _, err := closedLoop(ctx, call, usualCallers, slice/10); err != nil {
		return err
	}
	serversBefore, redisBefore, err1 := f.spent()
	t, err2 := closedLoop(ctx, call, usualCallers, slice)
	serversAfter, redisAfter, err3 := f.spent()
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	calls := float64(len(t.latencies))
	into.addTimings(f.subject, t)
	into.add(f.subject, cpu, float64((serversAfter-serversBefore).Microseconds())/calls)
	into.add(f.subject, redisCPU, float64((redisAfter-redisBefore).Microseconds())/calls)
	var errs []error
	for _, p := range f.servers {
		errs = append(errs, p.truncateFiles())
	}
	return errors.Join(errs...)
}

func (f *fleet) call(ctx context.Context, transport *http.Transport, caller, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conference, participant := f.load.target(caller, n)
	url := fmt.Sprintf("http://%s/v1/accounts/%s/conferences/%s/participants/%s",
		f.servers[caller%len(f.servers)].http, accountSID, conference, participant)
	r, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, strings.NewReader(f.load.body(caller, n)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+tokenOf(caller))
	_, err = fetch(transport, r)
	return err
}

// spent returns the CPU time of the servers together, and that of Redis.
func (f *fleet) spent() (servers, redis time.Duration, err error) {
	for _, p := range f.servers {
		one, failed := p.cpuTime()
		servers, err = servers+one, errors.Join(err, failed)
	}
	if f.redis != nil {
		one, failed := f.redis.cpuTime()
		redis, err = one, errors.Join(err, failed)
	}
	return servers, redis, err
}
