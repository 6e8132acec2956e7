package redisstore

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"conferenced/service/delivery"
)

// step is one execution of a script.
type step struct {
	script *script
	key    string
	args   []string
}

// steps execute every line of the scripts. They notify the replicas a and b.
func steps(conference string) []step {
	queue := func(op, id string, args ...string) step {
		key := queueKey(delivery.Conference{Account: "AC1", SID: conference})
		return step{queueScript, key, append([]string{op, "60000", id}, args...)}
	}
	join := func(id, name string, sets int, announces bool, caller, capacity string) step {
		entry := fmt.Sprintf(`{"i":%q,"n":%q,"s":%d,"h":%t,"c":%q}`, id, name, sets, announces, caller)
		return queue("join", id, name, entry, capacity, "0")
	}
	name, _ := claimKey(delivery.Key{RequestID: conference})
	claim := func(op, id, record string) step {
		return step{
			claimsScript, name,
			[]string{op, id, "60000", "", "60000", "60000", "content", record, "1"},
		}
	}
	return []step{
		join("a-1", "desk", 16, true, "c", "5"),
		join("a-2", "CA1", 16, true, "c", "5"),
		join("b-1", "desk", 1, false, "c", "5"),
		join("b-2", "CA1", 3, false, "c", "5"),
		queue("finish", "a-1", "desk", "1", "1", "1", "CA1", "desk", "0", "60000", ""),
		queue("renew", "", "desk", "a-1", "CA1", "a-2", "CA1", "none"),
		queue("resume", "a-1", "desk"),
		queue("finish", "a-2", "CA1", "1", "1", "0", "", "", "0", "60000", ""),
		queue("begin", "a-1", "desk"),
		join("b-3", "desk", 16, true, "d", "1"),
		queue("finish", "a-1", "desk", "2", "1", "0", "CA1", "", "0", "60000", ""),
		queue("begin", "b-1", "desk"),
		queue("finish", "b-1", "desk", "", "0", "0", "", "", "0", "", ""),
		queue("begin", "b-2", "CA1"),
		queue("finish", "b-2", "CA1", "1", "1", "0", "", "", "1", "60000", ""),
		queue("finish", "b-3", "desk", "", "0", "0", "", "", "0", "", ""),
		join("a-4", "desk", 1, false, "c", "5"),
		queue("finish", "a-4", "desk", "1", "1", "0", "CA1", "desk", "0", "60000", ""),
		claim("confirm", "a-1", ""),
		claim("claim", "a-1", ""),
		claim("claim", "b-1", ""),
		claim("renew", "a-1", ""),
		claim("hold", "a-1", ""),
		claim("settle", "a-1", "{}"),
		claim("claim", "b-1", ""),
		claim("settle", "a-1", ""),
	}
}

// executeSteps executes all of them from both replicas, and ignores errors.
func executeSteps(one, other *Store) {
	for _, s := range []*Store{one, other} {
		if conn := s.redis.connection(); conn != nil {
			for _, step := range steps("CF9") {
				execute(context.Background(), conn, []request{{script: step.script, key: step.key, args: step.args}})
			}
		}
	}
}

// TestScriptsKeepToOneSlot: Redis holds a script that names its language to the slot
// of its key, even if one node has all slots.
func TestScriptsKeepToOneSlot(t *testing.T) {
	node := cluster.use(t)
	client, err := rueidis.NewClient(rueidis.MustParseURL(node.url + "?client_cache=0"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	run := func(text, key string, args []string) error {
		return client.Do(within(t), client.B().Eval().Script("#!lua\n"+text).Numkeys(1).Key(key).Arg(args...).Build()).Error()
	}
	for _, step := range steps("CF9") {
		if err := run(step.script.text, step.key, step.args); err != nil {
			t.Errorf("%s of %s: %v", step.args[0], step.key, err)
		}
	}
	err = run(`redis.call('SET', KEYS[1] .. ':a', '') return redis.call('SET', KEYS[1] .. ':b', '')`, "untagged", nil)
	if err == nil || !strings.Contains(err.Error(), "slot") {
		t.Errorf("two slots in one script: %v, want it refused", err)
	}
}
