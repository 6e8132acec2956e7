package outcome_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
	"conferenced/service/outcome/outcometest"
)

func TestTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range outcome.Table {
		key := kind.Reason + kind.Code.String()
		if seen[key] {
			t.Errorf("%s %v is in the table twice", kind.Reason, kind.Code)
		}
		seen[key] = true
		if kind.Text == "" || kind.HTTP == 0 || kind.TwilioCode == 0 || kind.Code == codes.OK {
			t.Errorf("%s: incomplete", kind.Reason)
		}
		if found, ok := outcome.Lookup(kind.Reason, kind.Code); !ok || found != kind {
			t.Errorf("%s is not found", kind.Reason)
		}
	}
}

// TestFrom has every error that may end a call.
func TestFrom(t *testing.T) {
	known := outcome.Superseded.Err(outcome.Facts{Detail: "x"})
	if got := outcome.From(fmt.Errorf("wrapped: %w", known)); got != known {
		t.Errorf("a wrapped outcome became %v", got)
	}
	if got := outcome.From(nil); got != nil {
		t.Errorf("no error became %v", got)
	}
	for name, test := range map[string]struct {
		err  error
		want outcome.Kind
	}{
		"a deadline":               {fmt.Errorf("x: %w", context.DeadlineExceeded), outcome.Deadline},
		"a cancellation":           {context.Canceled, outcome.Cancelled},
		"a status of gRPC":         {status.Error(codes.DeadlineExceeded, "secret"), outcome.Deadline},
		"an unknown status":        {status.Error(codes.DataLoss, "secret"), outcome.Internal},
		"an error of another kind": {errors.New("secret"), outcome.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			got := outcome.From(test.err)
			if got.Kind != test.want || got.Applied != outcome.Maybe || !errors.Is(got, test.err) {
				t.Errorf("%v, want %s, applied maybe, with the cause", got, test.want.Reason)
			}
			if got.Message() != test.want.Text {
				t.Errorf("callers see %q", got.Message())
			}
		})
	}
}

func TestStatus(t *testing.T) {
	err := outcome.Overloaded.Err(outcome.Facts{Detail: "more", RetryAfter: 3 * time.Second, Cause: errors.New("secret")})
	st := status.Convert(err)
	if st.Code() != codes.ResourceExhausted || st.Message() != outcome.Overloaded.Text+": more" {
		t.Errorf("got %v", st)
	}
	if info := outcometest.Info(st); info.GetReason() != "OVERLOADED" || info.GetMetadata()["applied"] != "no" {
		t.Errorf("got %v", info)
	}
	if later := err.With(outcome.Maybe); later.Applied != outcome.Maybe || err.Applied != outcome.No {
		t.Errorf("With changed %v to %v", err, later)
	}
	if got := outcome.Internal.Err(outcome.Facts{RetryAfter: time.Second}).RetryDelay(); got != 0 {
		t.Errorf("a delay of %v where repeating is of no use", got)
	}
}
