package contactcentre_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"conferenced/service/sandbox"
)

func newTwilio(t *testing.T) (*sandbox.Sandbox, string) {
	box := sandbox.New(sandbox.Config{})
	server := httptest.NewServer(box)
	t.Cleanup(func() {
		box.Close()
		server.Close()
	})
	return box, server.URL
}

func TestFaultAndJournal(t *testing.T) {
	box, base := newTwilio(t)
	if err := box.Arm(sandbox.Rule{Participant: "agent", Times: 1, Fault: sandbox.Fault{Status: http.StatusBadGateway}}); err != nil {
		t.Fatal(err)
	}
	path := base + "/2010-04-01/Accounts/" + sandbox.AccountSID + "/Conferences/" + sandbox.ConferenceSID + "/Participants/agent.json"
	for _, want := range []int{http.StatusBadGateway, http.StatusOK} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(url.Values{"Muted": {"true"}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(sandbox.AccountSID, sandbox.AuthToken)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("the answer is %d, want %d", answer.StatusCode, want)
		}
	}
	if got := len(box.Journal()); got != 1 {
		t.Errorf("%d updates were applied, want 1", got)
	}
}
