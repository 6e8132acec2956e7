// Package telemetry provides logs, metrics, traces and the audit.
package telemetry

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"conferenced/service/call"
	"conferenced/service/outcome"
	"conferenced/service/property"
)

// AccessLog returns the interceptor that logs one line for each call. A line has IDs,
// field names and codes, and never a label, a URL or another value of the request.
//
// Calls of other services, such as health checks, are logged at debug level. Calls
// that end before their caller is authenticated are limited to 20 lines per reason in
// ten seconds, unless the level is debug.
//
// If write is not nil, it writes the line instead of the logger.
func AccessLog(logger *slog.Logger, write func(*call.Call, *outcome.Error)) grpc.UnaryServerInterceptor {
	control := ControlOf(logger)
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		response, err := handler(ctx, request)
		c, failed := call.From(ctx), outcome.From(err)
		level := levelOf(c, failed)
		switch {
		case !logger.Enabled(ctx, level) || !control.admitCall(level, c, failed):
		case write != nil:
			write(c, failed)
		default:
			logCall(ctx, logger, level, c, failed)
		}
		return response, err
	}
}

// admitCall reports whether the line of a call may be written. It limits the lines
// of unauthenticated calls at the levels that the handler does not limit.
func (c *LogControl) admitCall(level slog.Level, ended *call.Call, failed *outcome.Error) bool {
	limited := c != nil && failed != nil && isUnauthenticated(ended) &&
		level < slog.LevelWarn && c.level.Level() != slog.LevelDebug
	return !limited || c.sampler.admit(kind{level, "call", failed.Reason})
}

func logCall(ctx context.Context, logger *slog.Logger, level slog.Level, c *call.Call, failed *outcome.Error) {
	attrs := make([]slog.Attr, 0, 24)
	put := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	put("method", c.Method)
	put("protocol", string(c.Protocol))
	put("code", codeOf(failed).String())
	attrs = append(attrs, slog.Duration("duration", time.Since(c.Start)))
	put("account_sid", c.AccountSID)
	put("conference_sid", c.ConferenceSID)
	put("call_sid", c.CallSID)
	put("request_id", c.RequestID)
	put("caller", c.Caller)
	put("set", changeText(&c.Change))
	put("operation_id", c.OperationID)
	if c.Bulk != nil {
		attrs = append(attrs,
			slog.Int("participants", c.Bulk.Participants), slog.Int("updated", c.Bulk.Updated), slog.Int("failed", c.Bulk.Failed))
	}
	if delivered := c.Progress.Delivery(); delivered != (call.Delivery{}) {
		attrs = append(attrs, slog.Int("attempts", delivered.Attempts), slog.Duration("queued", delivered.Queued))
		if delivered.Replayed {
			attrs = append(attrs, slog.Bool("replayed", true))
		}
	}
	put("twilio_request_id", c.TwilioRequestID)
	put("trace_id", c.TraceID)
	if c.IgnoredFields > 0 {
		attrs = append(attrs, slog.Int("ignored_fields", c.IgnoredFields), slog.Any("ignored_names", c.IgnoredNames))
	}
	if failed != nil {
		put("reason", failed.Reason)
		put(outcome.KeyApplied, failed.Applied.String())
		if twilio := failed.Twilio; twilio != nil {
			put(outcome.KeyTwilioStatus, strconv.Itoa(twilio.HTTPStatus))
			if twilio.Code != 0 {
				put(outcome.KeyTwilioCode, strconv.Itoa(twilio.Code))
			}
		}
		if failed.Cause != nil {
			put("cause", failed.Cause.Error())
		}
	}
	record := slog.NewRecord(time.Now(), level, "call", 0) // The line has no position in the source.
	record.AddAttrs(attrs...)
	_ = logger.Handler().Handle(ctx, record) // The output counts lines that it drops.
}

// changeText returns what an update sets: the names of the properties, and the values of
// the boolean ones, such as "muted=true hold_url".
func changeText(change *property.Values) string {
	var text strings.Builder
	for p := range change.Set().Each() {
		if text.Len() > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(p.String())
		if property.Booleans.Has(p) {
			text.WriteString("=" + change.Get(p))
		}
	}
	return text.String()
}

func levelOf(c *call.Call, failed *outcome.Error) slog.Level {
	switch code := codeOf(failed); {
	case !c.IsAPI():
		return slog.LevelDebug
	case code == codes.Internal:
		return slog.LevelError
	case code == codes.Unavailable, code == codes.Unknown:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
