package redisstore

import (
	_ "embed"
	"testing"
)

// The scripts of the version before this one.
var (
	//go:embed testdata/queue.lua
	previousQueueText string
	//go:embed testdata/claims.lua
	previousClaimsText string
)

// previousQueue is the queue script of the version before, with the arguments and the
// answers of this one.
var previousQueue = newScript(`
local ARGV = ARGV
if ARGV[1] == 'join' then
  local entry = cjson.decode(ARGV[5])
  ARGV = {'join', ARGV[2], ARGV[3], ARGV[4], tostring(entry.s), entry.h and '1' or '0', entry.c, ARGV[6]}
end
local function previous()
` + previousQueueText + `
end
local answer = previous()
if ARGV[1] == 'join' then answer[4] = '' end
return answer
`)

// dialPrevious returns the store of a replica of the version before.
func dialPrevious(t *testing.T, cfg Config) *Store {
	t.Helper()
	cfg.Timeout = cfg.Lease / 2
	s, err := newStore(cfg.withDefaults(), testBounds(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	s.queueScript, s.claimsScript = previousQueue, newScript(previousClaimsText)
	s.start()
	t.Cleanup(s.Close)
	return s
}
