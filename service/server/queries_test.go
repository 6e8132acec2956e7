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

	"github.com/VictoriaMetrics/metricsql"
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
// the labels. The syntax is checked by promtool, in .ci/deploy.
func (v vocabulary) check(query string, labels ...string) []string {
	expr, err := metricsql.Parse(query)
	if err != nil {
		return []string{err.Error()}
	}
	r := &queryReader{words: v}
	r.expression(expr, labels)
	if r.series == 0 {
		r.wrong("asks for no series")
	}
	return r.problems
}

type queryReader struct {
	words    vocabulary
	series   int
	problems []string
}

func (r *queryReader) wrong(format string, arguments ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, arguments...))
}

// expression reads an expression, all of whose series must have the labels.
func (r *queryReader) expression(expr metricsql.Expr, labels []string) {
	switch expr := expr.(type) {
	case *metricsql.MetricExpr:
		r.metric(expr, labels)
	case *metricsql.RollupExpr:
		r.expression(expr.Expr, labels)
	case *metricsql.BinaryOpExpr:
		r.expression(expr.Left, labels)
		r.expression(expr.Right, labels)
	case *metricsql.AggrFuncExpr:
		r.aggregation(expr, labels)
	case *metricsql.FuncExpr:
		if expr.Name == "scalar" {
			labels = nil
		}
		for _, argument := range expr.Args {
			r.expression(argument, labels)
		}
	}
}

func (r *queryReader) aggregation(expr *metricsql.AggrFuncExpr, labels []string) {
	var by []string
	if expr.Modifier.Op == "by" {
		by = expr.Modifier.Args
	}
	for _, label := range labels {
		if !slices.Contains(by, label) {
			r.wrong("%s loses the label %q", expr.Name, label)
		}
	}
	for _, argument := range expr.Args {
		r.expression(argument, by)
	}
}

func (r *queryReader) metric(expr *metricsql.MetricExpr, labels []string) {
	r.series++
	for _, filters := range expr.LabelFilterss {
		name := filters[0].Value
		known, ok := r.words[name]
		if filters[0].Label != "__name__" || !ok {
			r.wrong("there is no metric %s", name)
			continue
		}
		for _, label := range labels {
			if _, has := known[label]; !has {
				r.wrong("%s has no label %s to group by or to show", name, label)
			}
		}
		for _, filter := range filters[1:] {
			r.filter(name, known, filter)
		}
	}
}

func (r *queryReader) filter(metric string, known map[string][]string, filter metricsql.LabelFilter) {
	values, ok := known[filter.Label]
	if !ok {
		r.wrong("%s has no label %s", metric, filter.Label)
		return
	}
	if values == nil || strings.HasPrefix(filter.Value, "$") {
		return
	}
	alternatives := []string{regexp.QuoteMeta(filter.Value)}
	if filter.IsRegexp {
		alternatives = strings.Split(filter.Value, "|")
	}
	for _, alternative := range alternatives {
		pattern, err := regexp.Compile("^(?:" + alternative + ")$")
		if err != nil || !slices.ContainsFunc(values, pattern.MatchString) {
			r.wrong("%s of %s is never %s", filter.Label, metric, alternative)
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
		{"no metric", `{code="OK"}`, nil, []string{"there is no metric OK"}},
		{"no series", `vector(1)`, nil, []string{"asks for no series"}},
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
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := words.check(test.query, test.shown...); !slices.Equal(got, test.want) {
				t.Errorf("%s\ngot  %q\nwant %q", test.query, got, test.want)
			}
		})
	}
}
