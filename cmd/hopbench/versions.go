package main

import (
	"context"
	"io"
	"strings"
)

// Prefixes of the contestants' names where two conferenced are compared.
const (
	prefixNew  = "new "
	prefixBase = "baseline "
)

// compareVersions measures a conferenced and the baseline in turn, and writes
// what the new one does against the other.
func (b *bench) compareVersions(ctx context.Context, stdout io.Writer) error {
	if err := b.enterFloor(ctx); err != nil {
		return err
	}
	if err := b.joinConferenced(ctx, prefixBase, b.baseline, "", ""); err != nil {
		return err
	}
	if err := b.joinConferenced(ctx, prefixNew, b.binary, "", ""); err != nil {
		return err
	}
	for _, c := range b.contestants {
		if way, ok := strings.CutPrefix(c.name, prefixNew); ok {
			c.against = prefixBase + way
		}
	}
	r := report{results: results{}}
	if err := b.play(ctx, r.results, []int{usualClients}); err != nil {
		return err
	}
	var text strings.Builder
	r.writeClients(&text, b, usualClients)
	_, err := io.WriteString(stdout, text.String())
	return err
}
