package telemetry

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"conferenced/service/outcome"
)

// AccessLog returns the interceptor that writes one line for each call: what was
// asked of which conference by whom, what came of it and how long it took.
// Never a label, a URL or anything else of the body but the names of fields that
// were ignored; a text of the caller's is logged only where it has the form of an
// id.
//
// Calls of other services than the API's, health checks above all, are logged
// at debug level.
func AccessLog(logger *slog.Logger, protocol func(context.Context) string) grpc.UnaryServerInterceptor {
	log := &accessLog{logger, protocol}
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		start := time.Now()
		ctx, call := WithCall(ctx)
		response, err := handler(ctx, request)
		log.ended(ctx, request, info.FullMethod, call, start, err)
		return response, err
	}
}

// accessLog is where the lines go.
type accessLog struct {
	logger   *slog.Logger
	protocol func(context.Context) string
}

// ended writes the line. The work is divided so that none of it holds room on the
// stack while something else goes deep: the call, for one, or the handler.
func (a *accessLog) ended(
	ctx context.Context, request any, method string, call *Call, start time.Time, err error,
) {
	level := levelOf(method, status.Code(err))
	if a.logger.Enabled(ctx, level) {
		var line slog.Record
		line.Time, line.Level, line.Message = time.Now(), level, "call"
		a.describe(ctx, &line, request, method, call, start, err)
		handleCall(ctx, a.logger.Handler(), &line)
	}
}

func (a *accessLog) describe(
	ctx context.Context, line *slog.Record, request any, method string, call *Call, start time.Time, err error,
) {
	var room [16]slog.Attr
	attributes := append(room[:0],
		slog.String("method", method),
		slog.String("protocol", a.protocol(ctx)),
		slog.String("code", status.Code(err).String()),
		slog.Duration("duration", line.Time.Sub(start)))
	attributes = appendIDs(attributes, request, call)
	attributes = appendKnownText(attributes, "trace_id", call.traceID(ctx))
	attributes = appendFailure(attributes, err, call)
	line.AddAttrs(attributes...)
}

// handleCall lets the line wait, where the handler can and it tells nothing bad.
func handleCall(ctx context.Context, handler slog.Handler, line *slog.Record) {
	if governed, ok := handler.(*governed); ok && line.Level < slog.LevelWarn {
		_ = governed.handleLater(ctx, line) // There is nowhere to say it.
		return
	}
	handleNow(ctx, handler, line)
}

// handleNow has a copy of the line, for which handleCall needs no room.
//
//go:noinline
func handleNow(ctx context.Context, handler slog.Handler, line *slog.Record) {
	_ = handler.Handle(ctx, *line) // There is nowhere to say it.
}

func levelOf(method string, code codes.Code) slog.Level {
	switch {
	case !isAPI(method):
		return slog.LevelDebug
	case code == codes.Internal:
		return slog.LevelError
	case code == codes.Unavailable, code == codes.Unknown:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func appendIDs(attributes []slog.Attr, request any, call *Call) []slog.Attr {
	known := idsOf(request, call)
	attributes = appendKnownText(attributes, "account_sid", known.account)
	attributes = appendKnownText(attributes, "conference_sid", known.conference)
	attributes = appendKnownText(attributes, "call_sid", known.call)
	attributes = appendKnownText(attributes, "request_id", known.request)
	attributes = appendKnownText(attributes, "caller", call.Caller)
	attributes = appendKnownText(attributes, "twilio_request_id", call.TwilioRequestID)
	if call.IgnoredFields > 0 {
		attributes = append(attributes,
			slog.Int("ignored_fields", call.IgnoredFields), slog.Any("ignored_names", call.IgnoredNames))
	}
	return attributes
}

// appendKnownText appends an attribute, unless its text is empty.
func appendKnownText(attributes []slog.Attr, key, text string) []slog.Attr {
	if text == "" {
		return attributes
	}
	return append(attributes, slog.String(key, text))
}

func appendFailure(attributes []slog.Attr, err error, call *Call) []slog.Attr {
	if err == nil {
		return attributes
	}
	if info := outcome.Info(status.Convert(err)); info != nil {
		attributes = append(attributes, slog.String("reason", info.GetReason()))
		for _, key := range []string{outcome.KeyApplied, outcome.KeyTwilioStatus, outcome.KeyTwilioCode} {
			attributes = appendKnownText(attributes, key, info.GetMetadata()[key])
		}
	}
	if call.Cause != nil {
		attributes = append(attributes, slog.String("cause", call.Cause.Error()))
	}
	return attributes
}
