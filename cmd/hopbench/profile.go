package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// profile writes a CPU profile and one of allocations for each contestant.
func (b *bench) profile(ctx context.Context, stdout io.Writer) error {
	folder := b.options.profile
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := b.enter(ctx); err != nil {
		return err
	}
	for _, c := range b.contestants {
		for kind, page := range map[string]string{"cpu": "profile", "allocs": "allocs"} {
			name := filepath.Join(folder, strings.ReplaceAll(c.name, " ", "-")+"."+kind+".pb.gz")
			if err := c.profile(ctx, page, name); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if _, err := fmt.Fprintln(stdout, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// profiledFor is how long a profile is taken, in seconds.
const profiledFor = 8

// profile saves a page of the server's profiles, taken under the usual load.
func (c *contestant) profile(ctx context.Context, page, name string) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	group.Go(func() error {
		_, err := closedLoop(ctx, c.do, usualClients, profiledFor*time.Second+patience)
		if errors.Is(context.Cause(ctx), errProfiled) {
			return nil
		}
		return err
	})
	group.Go(func() error {
		text, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", c.server.admin, page, profiledFor))
		if err != nil {
			return err
		}
		stop(errProfiled)
		return os.WriteFile(name, text, 0o600)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return c.server.empty()
}

var errProfiled = errors.New("the profile is taken")
