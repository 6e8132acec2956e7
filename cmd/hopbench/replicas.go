package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync/atomic"
	"time"
)

// runReplicas measures conferenced with its state in memory, in Redis, and in Redis with
// two replicas.
func (b *bench) runReplicas(ctx context.Context, w io.Writer) error {
	if err := b.startReplicas(ctx); err != nil {
		return err
	}
	b.callers = []int{usualCallers}
	var r report
	if err := b.measureLoads(ctx, &r); err != nil {
		return err
	}
	t := newTables(w)
	t.write(fmt.Sprintf("Replicas: REST, %d callers", usualCallers), b.subjects, r.loads[usualCallers],
		median(throughput, "%.0f"), median(p50, "%.2f"), median(p99, "%.1f"), median(cpu, "%.1f"),
		against("CPU × memory", cpu, ratio, itsOther), against("calls/s × memory", throughput, ratio, itsOther),
		median(redisCPU, "%.1f"))
	return t.Flush()
}

// startReplicas starts a Redis, a server with its state in memory, and two replicas, and
// sets the subjects.
func (b *bench) startReplicas(ctx context.Context) error {
	redis, address, err := b.startRedis(ctx)
	if err != nil {
		return err
	}
	shared := []string{"--redis-url", "redis://" + address}
	var servers [3]*process
	for i, flags := range [][]string{nil, shared, shared} {
		if servers[i], err = b.start(ctx, "conferenced", b.stub, flags...); err != nil {
			return err
		}
	}
	for _, load := range []struct {
		name string
		updates
	}{
		{"", updates{distinct, muting}},
		{", request IDs", updates{distinct, mutingOnce()}},
		{", one participant", updates{contended, announcing}},
	} {
		for _, s := range []subject{
			{row: row{name: "memory"}, servers: servers[:1]},
			{row: row{name: "Redis"}, servers: servers[1:2], redis: []*process{redis}},
			{row: row{name: "two replicas"}, servers: servers[1:], redis: []*process{redis}},
		} {
			s.name, s.other = s.name+load.name, "memory"+load.name
			s.call, _ = restOf(load.updates)(s.servers...)
			b.subjects = append(b.subjects, s)
		}
	}
	return nil
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

func contended(int, int) (conference, participant string) { return conferenceSID, callSID }

// mutingOnce gives each update a request ID of its own.
func mutingOnce() func(caller, n int) string {
	var last atomic.Int64
	return func(_, n int) string {
		return fmt.Sprintf(`{"muted": %t, "request_id": "%08x-0000-4000-8000-%012x"}`, n%2 == 0, time.Now().Unix(), last.Add(1))
	}
}

// announcing sets a property that no update supersedes, so each update is sent.
func announcing(int, int) string { return `{"announce_url": "https://example.com/hello.mp3"}` }
