package telemetry

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
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
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		start := time.Now()
		ctx, call := WithCall(ctx)
		response, err := handler(ctx, request)
		level := levelOf(info.FullMethod, status.Code(err))
		if !logger.Enabled(ctx, level) {
			return response, err
		}
		attributes := []slog.Attr{
			slog.String("method", info.FullMethod),
			slog.String("protocol", protocol(ctx)),
			slog.String("code", status.Code(err).String()),
			slog.Duration("duration", time.Since(start)),
		}
		attributes = appendIDs(attributes, request, call)
		if id := traceID(ctx); id != "" {
			attributes = append(attributes, slog.String("trace_id", id))
		}
		attributes = appendFailure(attributes, err, call)
		logger.LogAttrs(ctx, level, "call", attributes...)
		return response, err
	}
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

// identified is what the requests of the API have in common.
type identified interface {
	GetAccountSid() string
	GetConferenceSid() string
	GetCallSid() string
	GetRequestId() string
}

func appendIDs(attributes []slog.Attr, request any, call *Call) []slog.Attr {
	put := func(key, value string, ok bool) {
		if ok {
			attributes = append(attributes, slog.String(key, value))
		}
	}
	if ids, ok := request.(identified); ok {
		account := cmp.Or(call.AccountSID, ids.GetAccountSid())
		put("account_sid", account, isSID("AC", account))
		put("conference_sid", ids.GetConferenceSid(), isSID("CF", ids.GetConferenceSid()))
		put("call_sid", ids.GetCallSid(), isSID("CA", ids.GetCallSid()))
		put("request_id", ids.GetRequestId(), isUUID(ids.GetRequestId()))
	}
	put("caller", call.Caller, call.Caller != "")
	put("twilio_request_id", call.TwilioRequestID, call.TwilioRequestID != "")
	if call.IgnoredFields > 0 {
		attributes = append(attributes,
			slog.Int("ignored_fields", call.IgnoredFields), slog.Any("ignored_names", call.IgnoredNames))
	}
	return attributes
}

func appendFailure(attributes []slog.Attr, err error, call *Call) []slog.Attr {
	if err == nil {
		return attributes
	}
	if info := outcome.Info(status.Convert(err)); info != nil {
		attributes = append(attributes, slog.String("reason", info.GetReason()))
		for _, key := range []string{outcome.KeyApplied, outcome.KeyTwilioStatus, outcome.KeyTwilioCode} {
			if value := info.GetMetadata()[key]; value != "" {
				attributes = append(attributes, slog.String(key, value))
			}
		}
	}
	if call.Cause != nil {
		attributes = append(attributes, slog.String("cause", call.Cause.Error()))
	}
	return attributes
}

// isSID says whether the text has the form of one of Twilio's SIDs: a prefix of
// two letters and 32 hexadecimal digits.
func isSID(prefix, text string) bool {
	return len(text) == 34 && text[:2] == prefix && isHex(text[2:])
}

// isUUID says whether the text has the form of a UUID: groups of 8, 4, 4, 4 and
// 12 hexadecimal digits.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	groups := strings.Split(text, "-")
	return len(groups) == 5 && len(groups[0]) == 8 && len(groups[1]) == 4 &&
		len(groups[2]) == 4 && len(groups[3]) == 4 && isHex(strings.Join(groups, ""))
}

func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}
