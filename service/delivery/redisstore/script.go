package redisstore

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it.
	_ "embed"
	"encoding/hex"

	"github.com/redis/rueidis"
)

var (
	//go:embed queue.lua
	queueText string
	//go:embed claims.lua
	claimsText string
	//go:embed probe.lua
	probeText string

	queueScript  = newScript(queueText)
	claimsScript = newScript(claimsText)
	probeScript  = newScript(probeText)
)

// script is a script in Lua. Redis knows it by its hash once it has executed it.
type script struct{ text, hash string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // As above.
	return &script{text, hex.EncodeToString(sum[:])}
}

// execute makes the requests in one round trip, and those whose script Redis does not
// know in another one.
func execute(ctx context.Context, conn rueidis.Client, requests []request) []rueidis.RedisResult {
	commands := make(rueidis.Commands, len(requests))
	for i, r := range requests {
		commands[i] = conn.B().Evalsha().Sha1(r.script.hash).Numkeys(1).Key(r.key).Arg(r.args...).Build()
	}
	results := conn.DoMulti(ctx, commands...)
	for i, r := range requests {
		if err, ok := rueidis.IsRedisErr(results[i].Error()); ok && err.IsNoScript() {
			results[i] = conn.Do(ctx, conn.B().Eval().Script(r.script.text).Numkeys(1).Key(r.key).Arg(r.args...).Build())
		}
	}
	return results
}
