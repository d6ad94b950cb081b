package why

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/store"
)

// Covers: NM-31. Every error code has a section and a remedy.
func TestExplain(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "oauth", "error.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	for _, declared := range file.Decls {
		group, ok := declared.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value, ok := spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%v", spec)
			}
			code, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes++
			t.Run("accepts "+code, func(t *testing.T) {
				known, ok := explanations()[code]
				if !ok || !strings.Contains(known[0], "§") || !strings.HasSuffix(known[1], ".") {
					t.Errorf("%+v", known)
				}
			})
		}
	}
	t.Run("refuses an explanation of no code", func(t *testing.T) {
		if codes != len(explanations()) {
			t.Errorf("%d codes, %d explanations", codes, len(explanations()))
		}
	})
	t.Run("accepts an unknown one", func(t *testing.T) {
		if got := Explain("made_up"); got.Remedy == "" || got.Section == "" {
			t.Errorf("%+v", got)
		}
	})
}

// kept is a store.
type kept struct {
	refusals []store.Refusal
	bounds   store.RefusalBounds
	err      error
}

func (k *kept) AddRefusals(_ context.Context, bounds store.RefusalBounds, refusals ...store.Refusal) error {
	if k.err == nil {
		k.refusals, k.bounds = append(k.refusals, refusals...), bounds
	}
	return k.err
}

func refused(client, route, code string, err error) event.Request {
	return event.Request{Method: "POST", Route: route, ClientID: client, Outcome: code, Status: 400, CorrelationID: "id", Err: err}
}

// Covers: NM-30. A refusal is kept with what the log has of it; what is none is not, and a flood of one client leaves room for others.
func TestRecorder(t *testing.T) {
	now, to := time.Unix(1_800_000_000, 0), &kept{}
	r := &Recorder{Store: to, Node: "a", Keep: time.Hour, Most: 7, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	flush := func() []store.Refusal {
		to.refusals = nil
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return to.refusals
	}
	t.Run("accepts a refusal", func(t *testing.T) {
		r.Answered(t.Context(), refused("client", "/token", "invalid_grant", oauth.Errorf(oauth.InvalidGrant, "expired").Because(store.ErrExpired)))
		want := store.Refusal{
			CorrelationID: "id", At: now, Node: "a", ClientID: "client", Method: "POST", Endpoint: "/token", Status: 400, Code: "invalid_grant",
			Cause: "invalid_grant: expired: store: expired",
		}
		if got := flush(); len(got) != 1 || got[0] != want || to.bounds != (store.RefusalBounds{Most: 7, Since: now.Add(-time.Hour)}) {
			t.Errorf("%+v, %+v", got, to.bounds)
		}
	})
	for _, outcome := range []string{"ok", "client_closed", "authorization_pending", "use_dpop_nonce"} {
		t.Run("refuses "+outcome, func(t *testing.T) {
			if r.Answered(t.Context(), refused("client", "/token", outcome, errors.New("x"))); len(flush()) != 0 {
				t.Error("kept")
			}
		})
	}
	t.Run("accepts others beside a flood", func(t *testing.T) {
		for i := range 1000 {
			r.Answered(t.Context(), refused("flood", "/token", "invalid_grant", errors.New("x")))
			if i%100 == 0 {
				r.Answered(t.Context(), refused(fmt.Sprint(i), "/token", "invalid_grant", errors.New("x")))
			}
		}
		if got := flush(); len(got) != mostOfOne+10 {
			t.Errorf("%d", len(got))
		}
		for i := range 1000 {
			r.Answered(t.Context(), refused(fmt.Sprint(i), "/token", "invalid_grant", errors.New("x")))
		}
		if got := flush(); len(got) != mostAtOnce {
			t.Errorf("%d", len(got))
		}
	})
	t.Run("accepts a long text, cut between characters", func(t *testing.T) {
		for extra := range 3 {
			r.Answered(t.Context(), refused("client", "/token", "invalid_grant", errors.New(strings.Repeat("x", extra)+strings.Repeat("€", mostText))))
			got := flush()
			if len(got) != 1 || len(got[0].Cause) > mostText || !utf8.ValidString(got[0].Cause) || !strings.HasSuffix(got[0].Cause, "€…") {
				t.Errorf("%d bytes", len(got[0].Cause))
			}
		}
	})
	t.Run("refuses all where nothing is to be kept", func(t *testing.T) {
		for _, off := range []*Recorder{{Store: to, Most: 1, Now: r.Now}, {Store: to, Keep: time.Hour, Now: r.Now}} {
			off.Answered(t.Context(), refused("client", "/token", "invalid_grant", errors.New("x")))
			if len(off.waiting) != 0 {
				t.Error("kept")
			}
		}
	})
}

// TestStrangeText: what PostgreSQL does not take as text is replaced, so that it does not keep the refusals of others from being stored.
func TestStrangeText(t *testing.T) {
	to := &kept{}
	r := &Recorder{Store: to, Keep: time.Hour, Most: 7, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	r.Answered(t.Context(), refused("client", "/token", "invalid_request", errors.New("a\x00b\xff\xfec\xc3")))
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := to.refusals[0].Cause; got != "a\uFFFDb\uFFFDc\uFFFD" {
		t.Errorf("kept as %q", got)
	}
}

// Covers: NM-30. Refusals are stored within a second, and the last ones at the end; a store that is away is logged once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		to := &kept{}
		r := &Recorder{Store: to, Keep: time.Hour, Most: 10, Now: time.Now, Log: slog.New(slog.NewTextHandler(&logged, nil))}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Run(ctx)
		}()
		answer := func() { r.Answered(ctx, refused("client", "/token", "invalid_grant", errors.New("x"))) }
		answer()
		time.Sleep(flushEvery + time.Millisecond)
		synctest.Wait()
		if len(to.refusals) != 1 {
			t.Errorf("%d are stored", len(to.refusals))
		}
		to.err = errors.New("away")
		for range 3 {
			answer()
			time.Sleep(flushEvery)
			synctest.Wait()
		}
		if got := strings.Count(logged.String(), "refusals not kept for countersign why"); got != 1 {
			t.Errorf("logged %d times", got)
		}
		to.err = nil
		answer()
		stop()
		<-ended
		if len(to.refusals) != 2 {
			t.Errorf("%d are stored at the end", len(to.refusals))
		}
	})
}
