package server

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"

	"conferenced/service/call"
	"conferenced/service/delivery/redisstore/redistest"
	"conferenced/service/outcome"
	"conferenced/service/sandbox"
)

// vocabulary has the values of each label of each series, by the name of the series. Nil
// stands for any value.
type vocabulary map[string]map[string][]string

// targetLabels are added to every series by Prometheus's configuration. The job is that
// of deploy.
var targetLabels = map[string][]string{"job": {"conferenced"}, "instance": nil, "namespace": nil, "pod": nil}

// vocabularyOf returns the vocabulary of a server after calls of every kind.
func vocabularyOf(t *testing.T) vocabulary {
	t.Helper()
	r := start(t, sharing(redistest.StartMini(t)))
	callGRPC(t, t.Context(), r, muting(sandbox.AgentSID))
	sendREST(t, t.Context(), r, http.MethodGet, "/nowhere", "")
	words := vocabulary{}
	words.add("up", nil)
	for name, family := range scrape(t, r) {
		words.addFamily(name, family)
	}
	return words
}

func (v vocabulary) addFamily(name string, family *dto.MetricFamily) {
	labels := map[string][]string{}
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = append(labels[label.GetName()], label.GetValue())
		}
	}
	for label := range labels {
		if more, ok := moreValues(name, label); ok {
			labels[label] = more
		}
	}
	switch family.GetType() {
	case dto.MetricType_HISTOGRAM:
		buckets := maps.Clone(labels)
		for _, bucket := range family.GetMetric()[0].GetHistogram().GetBucket() {
			buckets["le"] = append(buckets["le"], bound(bucket.GetUpperBound()))
		}
		v.add(name+"_bucket", buckets)
		v.add(name+"_count", labels)
		v.add(name+"_sum", labels)
	case dto.MetricType_SUMMARY:
		quantiles := maps.Clone(labels)
		for _, quantile := range family.GetMetric()[0].GetSummary().GetQuantile() {
			quantiles["quantile"] = append(quantiles["quantile"], strconv.FormatFloat(quantile.GetQuantile(), 'g', -1, 64))
		}
		v.add(name, quantiles)
		v.add(name+"_count", labels)
		v.add(name+"_sum", labels)
	default:
		v.add(name, labels)
	}
}

func (v vocabulary) add(name string, labels map[string][]string) {
	v[name] = maps.Clone(targetLabels)
	maps.Copy(v[name], labels)
}

// moreValues returns the values of a label whose series appear with their first call, or
// nil for a label with any value.
func moreValues(metric, label string) (values []string, ok bool) {
	switch {
	case strings.HasSuffix(metric, "_info"):
		return nil, true
	case label == "code":
		for code := codes.OK; code <= codes.Unauthenticated; code++ {
			values = append(values, code.String())
		}
	case label == "protocol":
		values = []string{string(call.GRPC), string(call.REST), string(call.Twilio)}
	case label == "method":
		values = []string{updateMethod, grpc_health_v1.Health_Check_FullMethodName}
	case metric == "conferenced_gateway_refusals_total":
		for _, kind := range outcome.Table {
			values = append(values, kind.Reason)
		}
	}
	return values, values != nil
}

// bound returns a value of `le` as Prometheus 3 stores it.
func bound(value float64) string {
	if math.IsInf(value, 1) {
		return "+Inf"
	}
	text := strconv.FormatFloat(value, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// check returns the unknown names, labels and values in a query, whose result must have
// the labels. It reads a subset of PromQL: strings in double quotes, and `by` before what
// it groups. The syntax is checked by promtool, in .ci/deploy.
func (v vocabulary) check(query string, labels ...string) []string {
	tokens, rest := tokensOf(query)
	r := &queryReader{words: v, tokens: tokens}
	if rest != "" {
		r.wrong("not understood from %q on", rest)
		return r.problems
	}
	r.expression(labels)
	if r.peek() != "" {
		r.wrong("%q closes nothing", r.peek())
	}
	if r.series == 0 {
		r.wrong("asks for no series")
	}
	return r.problems
}

var (
	queryToken = regexp.MustCompile(`^("(?:[^"\\]|\\.)*"|[a-zA-Z_:][\w:]*|\$\w+|[0-9][\w.]*|=~|!~|[!=<>]=|[-+*/%^=<>(){}\[\],]|\s+)`)
	queryName  = regexp.MustCompile(`^[a-zA-Z_:]`)
)

func tokensOf(query string) (tokens []string, rest string) {
	for query != "" {
		token := queryToken.FindString(query)
		if token == "" {
			return tokens, query
		}
		query = query[len(token):]
		if strings.TrimSpace(token) != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens, ""
}

// Words of PromQL that are not names of series.
var (
	aggregators = []string{"avg", "count", "max", "min", "sum", "topk", "bottomk"}
	operators   = []string{"and", "or", "unless", "bool", "offset"}
	matchings   = []string{"on", "ignoring", "group_left", "group_right"}
)

type queryReader struct {
	words    vocabulary
	tokens   []string
	series   int
	problems []string
}

func (r *queryReader) wrong(format string, arguments ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, arguments...))
}

func (r *queryReader) peek() string {
	if len(r.tokens) == 0 {
		return ""
	}
	return r.tokens[0]
}

func (r *queryReader) next() string {
	token := r.peek()
	if token != "" {
		r.tokens = r.tokens[1:]
	}
	return token
}

// expression reads an expression, all of whose series must have the labels.
func (r *queryReader) expression(labels []string) {
	for {
		switch token := r.peek(); {
		case token == "" || token == ")":
			return
		case queryName.MatchString(token):
			r.name(r.next(), labels)
		case token == "(":
			r.group(labels)
		case token == "{":
			r.wrong("a selector names no metric")
			r.selector("")
		case token == "[":
			for token = r.next(); token != "]" && token != ""; {
				token = r.next()
			}
		default:
			r.next()
		}
	}
}

// group reads an expression in parentheses.
func (r *queryReader) group(labels []string) {
	r.next()
	r.expression(labels)
	if r.next() != ")" {
		r.wrong("a parenthesis is not closed")
	}
	if r.peek() == "by" || r.peek() == "without" {
		r.wrong("%q stands behind what it groups", r.next())
		r.labelList()
	}
}

// name reads a series, a function or an aggregation.
func (r *queryReader) name(word string, labels []string) {
	switch {
	case slices.Contains(matchings, word):
		r.labelList()
	case slices.Contains(operators, word):
	case slices.Contains(aggregators, word):
		r.aggregation(word, labels)
	case word == "scalar" && r.peek() == "(":
		r.group(nil)
	case r.peek() == "(":
		r.group(labels)
	default:
		r.metric(word, labels)
	}
}

func (r *queryReader) aggregation(word string, labels []string) {
	var by []string
	if r.peek() == "by" {
		r.next()
		by = r.labelList()
	}
	for _, label := range labels {
		if !slices.Contains(by, label) {
			r.wrong("%s loses the label %q", word, label)
		}
	}
	if r.peek() != "(" {
		r.wrong("%s is not followed by what it is of", word)
		return
	}
	r.group(by)
}

func (r *queryReader) labelList() (labels []string) {
	if r.next() != "(" {
		r.wrong("a list of labels does not begin")
		return nil
	}
	for token := r.next(); token != ")" && token != ""; token = r.next() {
		if token != "," {
			labels = append(labels, token)
		}
	}
	return labels
}

func (r *queryReader) metric(name string, labels []string) {
	r.series++
	known, ok := r.words[name]
	if !ok {
		r.wrong("there is no metric %s", name)
	}
	for _, label := range labels {
		if _, has := known[label]; ok && !has {
			r.wrong("%s has no label %s to group by or to show", name, label)
		}
	}
	if r.peek() == "{" {
		r.selector(name)
	}
}

// selector reads the matchers of the metric.
func (r *queryReader) selector(metric string) {
	r.next()
	for token := r.next(); token != "}" && token != ""; token = r.next() {
		if token == "," {
			continue
		}
		operator := r.next()
		value, err := strconv.Unquote(r.next())
		if err != nil {
			r.wrong("%s%s is not followed by a string", token, operator)
			continue
		}
		r.matcher(metric, token, operator, value)
	}
}

func (r *queryReader) matcher(metric, label, operator, value string) {
	known, ok := r.words[metric]
	if !ok {
		return // It is reported already.
	}
	values, ok := known[label]
	if !ok {
		r.wrong("%s has no label %s", metric, label)
		return
	}
	if values == nil || strings.HasPrefix(value, "$") {
		return
	}
	alternatives := []string{regexp.QuoteMeta(value)}
	if strings.HasSuffix(operator, "~") {
		alternatives = strings.Split(value, "|")
	}
	for _, alternative := range alternatives {
		pattern, err := regexp.Compile("^(?:" + alternative + ")$")
		if err != nil || !slices.ContainsFunc(values, pattern.MatchString) {
			r.wrong("%s of %s is never %s", label, metric, alternative)
		}
	}
}

// TestMistakesInQueriesAreFound tests the check itself.
func TestMistakesInQueriesAreFound(t *testing.T) {
	words := vocabularyOf(t)
	tests := []struct {
		name, query string
		shown       []string
		want        []string // the mistakes
	}{
		{"a good query", `sum by (code) (rate(conferenced_calls_total{namespace=~"$namespace", code!="OK"}[$__rate_interval])) > 0.5`, []string{"code"}, nil},
		{"a good quotient", `sum by (reason) (rate(conferenced_call_errors_total[5m])) / scalar(sum(rate(conferenced_calls_total[5m])))`, []string{"reason"}, nil},
		{"a good quantile", `histogram_quantile(0.9, sum by (le, queue) (rate(conferenced_queue_wait_seconds_bucket{le!="5.0"}[5m])))`, []string{"queue"}, nil},
		{"metrics of libraries", `time() - process_start_time_seconds{job="conferenced"} and go_gc_duration_seconds{quantile="1"} unless up == 0`, []string{"instance"}, nil},
		{"a metric that is misspelt", `rate(conferenced_call_total[5m])`, nil, []string{"there is no metric conferenced_call_total"}},
		{"a metric of another program", `sum(rate(http_requests_total{code="OK"}[5m]))`, nil, []string{"there is no metric http_requests_total"}},
		{"a histogram in place of its buckets", `conferenced_queue_wait_seconds`, nil, []string{"there is no metric conferenced_queue_wait_seconds"}},
		{"buckets of a counter", `conferenced_calls_total_bucket`, nil, []string{"there is no metric conferenced_calls_total_bucket"}},
		{"a metric by its label alone", `{__name__="conferenced_calls_total"}`, nil, []string{"a selector names no metric", "asks for no series"}},
		{"a label that is misspelt", `conferenced_calls_total{status="OK"}`, nil, []string{"conferenced_calls_total has no label status"}},
		{"a label to group by that is misspelt", `sum by (protokol) (conferenced_calls_in_flight)`, nil, []string{"conferenced_calls_in_flight has no label protokol to group by or to show"}},
		{"a label that a part of a quotient does not have", `sum by (code) (conferenced_calls_total / conferenced_call_errors_total)`, nil, []string{"conferenced_call_errors_total has no label code to group by or to show"}},
		{"a label to show that is grouped away", `sum(conferenced_calls_total)`, []string{"code"}, []string{`sum loses the label "code"`}},
		{"a label to group by that is grouped away", `max by (code) (sum by (method) (conferenced_calls_total))`, nil, []string{`sum loses the label "code"`}},
		{"a value that is misspelt", `conferenced_calls_total{code="NOT_FOUND"}`, nil, []string{"code of conferenced_calls_total is never NOT_FOUND"}},
		{"a value of another metric's label", `conferenced_delivery_refusals_total{reason="OVERLOADED"}`, nil, []string{"reason of conferenced_delivery_refusals_total is never OVERLOADED"}},
		{"one of several values", `conferenced_upstream_attempts_total{outcome=~"failed|timeout"}`, nil, []string{"outcome of conferenced_upstream_attempts_total is never timeout"}},
		{"a value to leave out", `conferenced_breakers{state!="offf"}`, nil, []string{"state of conferenced_breakers is never offf"}},
		{"a bound that no bucket has", `conferenced_call_duration_seconds_bucket{le="2"}`, nil, []string{"le of conferenced_call_duration_seconds_bucket is never 2"}},
		{"another job", `up{job="conferences"} == 0`, nil, []string{"job of up is never conferences"}},
		{"a group behind", `sum(conferenced_calls_total) by (nothing)`, nil, []string{`"by" stands behind what it groups`}},
		{"strings in other quotes", `conferenced_calls_total{code='OK'}`, nil, []string{`not understood from "'OK'}" on`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := words.check(test.query, test.shown...); !slices.Equal(got, test.want) {
				t.Errorf("%s\ngot  %q\nwant %q", test.query, got, test.want)
			}
		})
	}
}
