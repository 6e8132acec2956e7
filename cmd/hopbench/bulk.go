package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	conferencev1 "conferenced/gen/conference/v1"
)

const (
	bulkSize    = 250                    // The participants of an operation.
	bulkLimit   = 50                     // The attempts in flight.
	bulkLatency = 100 * time.Millisecond // The duration of an attempt.
)

// bulkRow is a way to update many participants.
type bulkRow struct {
	name   string
	update func() error
	took   []float64 // Milliseconds.
}

// runBulk measures how long an update of many participants takes: with conferenced, and
// with a client that loops over the peer with the same concurrency.
func (b *bench) runBulk(ctx context.Context, w io.Writer) error {
	rows, disconnect, err := b.bulkRows(ctx)
	if err != nil {
		return err
	}
	defer disconnect()
	for round := range b.rounds + 1 { // Round 0 opens the connections and does not count.
		b.say("round %d of %d", round, b.rounds)
		for i := range rows {
			began := time.Now()
			if err := rows[i].update(); err != nil {
				return fmt.Errorf("%s: %w", rows[i].name, err)
			}
			if round > 0 {
				rows[i].took = append(rows[i].took, milliseconds(time.Since(began)))
			}
		}
	}
	ideal := milliseconds(bulkLatency * bulkSize / bulkLimit)
	t := newTables(w)
	t.head(fmt.Sprintf("%d participants, %d at a time, %v each", bulkSize, bulkLimit, bulkLatency),
		"ms", "lowest", "highest", "× ideal")
	for _, r := range rows {
		took := spreadOf(r.took)
		t.row(r.name, fmt.Sprintf("%.0f", took.median), fmt.Sprintf("%.0f", took.low), fmt.Sprintf("%.0f", took.high),
			fmt.Sprintf("%.2f", took.median/ideal))
	}
	return t.Flush()
}

// bulkRows starts the systems and returns the rows.
func (b *bench) bulkRows(ctx context.Context) (rows []bulkRow, disconnect func(), err error) {
	stub, err := b.startStub(ctx, bulkLatency)
	if err != nil {
		return nil, nil, err
	}
	peer, err := b.start(ctx, "peer", stub)
	if err != nil {
		return nil, nil, err
	}
	conferenced, err := b.start(ctx, "conferenced", stub, "--concurrency-max", strconv.Itoa(bulkLimit))
	if err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient(conferenced.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	loop, disconnectPeer := overGRPC(peer)
	var named []string
	for i := range bulkSize {
		named = append(named, participantFor(i, 0))
	}
	rows = []bulkRow{
		{name: "peer, a loop", update: func() error { return loopOver(ctx, loop) }},
		{name: "conferenced, by Call SID", update: func() error { return updateMany(ctx, conn, named) }},
		{name: "conferenced, everyone", update: func() error { return updateMany(ctx, conn, nil) }},
	}
	return rows, func() {
		disconnectPeer()
		_ = conn.Close() // Nothing is in flight.
	}, nil
}

// loopOver updates each participant by a call of its own.
func loopOver(ctx context.Context, do call) error {
	_, err := load(ctx, do, bulkLimit, func(_, n int) (begin time.Time, more bool) {
		return time.Now(), n < bulkSize/bulkLimit
	})
	return err
}

// updateMany updates the participants with the Call SIDs, or everyone, by one call.
func updateMany(ctx context.Context, conn *grpc.ClientConn, named []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+tokenOf(0))
	response, err := conferencev1.NewConferenceServiceClient(conn).UpdateParticipants(ctx, &conferencev1.UpdateParticipantsRequest{
		ConferenceSid: conferenceSID, Participants: named, Set: &conferencev1.ParticipantChange{Muted: proto.Bool(true)},
	})
	if err == nil && (response.GetUpdated() != bulkSize || !response.GetComplete()) {
		err = fmt.Errorf("%d of %d were updated, complete: %t", response.GetUpdated(), bulkSize, response.GetComplete())
	}
	return err
}
