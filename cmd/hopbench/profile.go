package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// writeProfiles writes a CPU and an allocation profile of each subject, taken
// under the usual load, and prints their names.
func (b *bench) writeProfiles(ctx context.Context, w io.Writer) error {
	if err := os.MkdirAll(b.profile, 0o700); err != nil {
		return err
	}
	if err := b.connect(ctx, comparedRows); err != nil {
		return err
	}
	for _, s := range b.subjects {
		for kind, page := range map[string]string{"cpu": "profile", "allocs": "allocs"} {
			name := filepath.Join(b.profile, strings.ReplaceAll(s.name, ", ", "-")+"."+kind+".pb.gz")
			if err := writeProfile(ctx, s, page, name); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Fprintln(w, name)
		}
	}
	return nil
}

func writeProfile(ctx context.Context, s subject, page, name string) error {
	const seconds = 8
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := closedLoop(ctx, s.call, usualCallers, (seconds+1)*time.Second)
		return err
	})
	group.Go(func() error {
		text, err := s.servers[0].page(ctx, fmt.Sprintf("/debug/pprof/%s?seconds=%d", page, seconds))
		if err != nil {
			return err
		}
		return os.WriteFile(name, text, 0o600)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return truncateFiles(s.servers...)
}
