package adminapi_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/internal/config"
	"countersign/store"
)

// failing is a store that erases no user while it is told to fail, and counts what it was asked to do.
type failing struct {
	store.Store
	// erase is done in place of an erasure, end in place of noting how it ended; nil does it.
	erase, end              func(context.Context) error
	erasing, atOnce, erased atomic.Int32
}

func (f *failing) EraseUser(ctx context.Context, subject string, evidence ...store.Evidence) error {
	if f.erasing.Add(1) > 1 {
		f.atOnce.Add(1)
	}
	defer f.erasing.Add(-1)
	if f.erase != nil {
		return f.erase(ctx)
	}
	err := f.Store.EraseUser(ctx, subject, evidence...)
	if err == nil {
		f.erased.Add(1)
	}
	return err
}

func (f *failing) EndApproval(ctx context.Context, end store.ApprovalEnd, evidence ...store.Evidence) error {
	if f.end != nil {
		return f.end(ctx)
	}
	return f.Store.EndApproval(ctx, end, evidence...)
}

func away(context.Context) error { return store.ErrUnavailable }

// approved has the erasure of a new user approved, and returns the path of the erasure and the approval.
func (w *world) approved(t *testing.T, name string) (subject, path, id string) {
	t.Helper()
	subject = w.person(t, name)
	id = w.asked(t, subject).text("id")
	w.ask(t, "bob", "POST", "/admin/v1/approvals/"+id+"/approve", nil, "If-Match", `"open"`).want(http.StatusOK)
	return subject, "/admin/v1/people/" + subject + "/erase", id
}

// onFailing has a world work with a store that fails.
func onFailing(w *world) *failing {
	f := &failing{Store: w.store}
	w.store = f
	w.base = w.node()
	return f
}

// Covers: NM-152, NM-43. What fails says why and may be tried again by the same approval, while what would be done is the same.
func TestNM152Failed(t *testing.T) {
	w := newWorld(t)
	f := onFailing(w)
	approvals := "/admin/v1/approvals/"
	t.Run("accepts another try after a failure", func(t *testing.T) {
		subject, path, id := w.approved(t, "alina")
		f.erase = away
		failed := w.ask(t, "ada", "POST", path, nil, header, id)
		failed.problem(http.StatusServiceUnavailable, "store_unavailable")
		shown := w.ask(t, "rita", "GET", approvals+id, nil).want(http.StatusOK)
		if shown.body["state"] != "failed" || shown.text("failure") != "the database cannot be reached; try again" || shown.text("ended_at") == "" {
			t.Errorf("%s", shown.raw)
		}
		if said := w.audited(failed, "approval_failed", "Ada"); said["reason"] != shown.text("failure") || said["approval"] != id {
			t.Errorf("%v", said)
		}
		if again := w.asked(t, subject); again.text("id") != id || again.text("state") != "failed" {
			t.Errorf("asked for again: %s", again.raw)
		}
		f.erase = nil
		done := w.ask(t, "ada", "POST", path, nil, header, id).want(http.StatusOK)
		w.audited(done, "approval_done", "Ada")
		if shown := w.ask(t, "rita", "GET", approvals+id, nil); shown.body["state"] != "consumed" || shown.body["failure"] != nil || shown.text("ended_at") == "" {
			t.Errorf("%s", shown.raw)
		}
	})
	t.Run("refuses another try when the failure has changed something", func(t *testing.T) {
		subject, path, id := w.approved(t, "berta")
		f.erase = func(ctx context.Context) error {
			user, err := w.store.User(ctx, subject)
			if err != nil {
				return err
			}
			user.Username = "half erased"
			if err := w.store.PutUser(ctx, user); err != nil {
				return err
			}
			return store.ErrUnavailable
		}
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusServiceUnavailable, "store_unavailable")
		f.erase = nil
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusConflict, "approval_of_other_state")
	})
	t.Run("refuses another try when it is not known how the first ended", func(t *testing.T) {
		_, path, id := w.approved(t, "conny")
		f.erase, f.end = away, away
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusServiceUnavailable, "store_unavailable")
		f.erase, f.end = nil, nil
		shown := w.ask(t, "rita", "GET", approvals+id, nil).want(http.StatusOK)
		if shown.body["state"] != "consumed" || shown.body["ended_at"] != nil {
			t.Errorf("%s", shown.raw)
		}
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusForbidden, "approval_consumed")
	})
	t.Run("accepts what is done when that could not be noted, and says so", func(t *testing.T) {
		_, path, id := w.approved(t, "dana")
		f.end = away
		done := w.ask(t, "ada", "POST", path, nil, header, id).want(http.StatusOK)
		f.end = nil
		if !strings.Contains(done.raw, "it is done, and the approval does not say so") {
			t.Errorf("%s", done.raw)
		}
	})
	t.Run("refuses another try when the approval's time is over", func(t *testing.T) {
		_, path, id := w.approved(t, "emma")
		f.erase = away
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusServiceUnavailable, "store_unavailable")
		f.erase = nil
		passed(t, w, id)
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusForbidden, "approval_expired")
	})
}

// Covers: NM-153. On two nodes what was approved is carried out by one at a time, and once, also when the first tries fail.
func TestNM153OnceAfterFailure(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { onPostgres(t, c) })
	f := onFailing(w)
	nodes := [2]string{w.base, w.node()}
	_, path, id := w.approved(t, "alina")
	var fails atomic.Int32
	fails.Store(5)
	f.erase = func(ctx context.Context) error {
		if fails.Add(-1) >= 0 {
			return store.ErrUnavailable
		}
		f.erased.Add(1)
		return nil // the user stays, so that nothing but the approval keeps it from being done again
	}
	statuses := make(chan int, 40)
	for i := range cap(statuses) {
		go func() {
			got, err := w.send(w.client(w.shown["ada"]), nodes[i%2]+path, "POST", nil, header, id)
			if err != nil {
				t.Error(err)
			}
			statuses <- got.status
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	for range 10 { // until it is done
		if f.erased.Load() > 0 {
			break
		}
		got := w.ask(t, "ada", "POST", path, nil, header, id)
		count[got.status]++
	}
	t.Run("accepts it once", func(t *testing.T) {
		if f.erased.Load() != 1 || count[http.StatusOK] != 1 || count[http.StatusServiceUnavailable] != 5 {
			t.Errorf("done %d times: %v", f.erased.Load(), count)
		}
	})
	t.Run("refuses the others, and two at once", func(t *testing.T) {
		if f.atOnce.Load() != 0 || count[http.StatusInternalServerError] != 0 {
			t.Errorf("%d at once: %v", f.atOnce.Load(), count)
		}
		w.ask(t, "ada", "POST", path, nil, header, id).problem(http.StatusForbidden, "approval_consumed")
		if done, failed := w.events(t, "approval_done"), w.events(t, "approval_failed"); len(done) != 1 || len(failed) != 5 {
			t.Errorf("%v %v", done, failed)
		}
	})
}
