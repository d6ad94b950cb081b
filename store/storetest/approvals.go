package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"countersign/store"
)

func (f *fixture) approval() store.Approval {
	return store.Approval{
		ID: fmt.Sprint("approval ", f.number()), Action: "keys.rotate", Target: "é <&>", Request: json.RawMessage(`{"asked":{"now":true}}`), Digest: f.digest(),
		RequestedBy: store.Approver{Name: "alice", Certificate: f.digest()}, RequestedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Hour),
		State: store.ApprovalOpen,
	}
}

func (f *fixture) decision(a store.Approval, approve bool) store.ApprovalDecision {
	return store.ApprovalDecision{ID: a.ID, Approve: approve, By: store.Approver{Name: "bob", Certificate: f.digest()}, ExpiresAt: f.clock.Now().Add(2 * time.Hour)}
}

func (f *fixture) consume(id string, digest store.Digest, by string, evidence ...store.Evidence) error {
	_, err := f.ConsumeApproval(f.Context(), id, digest, by, evidence...)
	return err
}

func (f *fixture) wantApproval(want store.Approval) {
	f.Helper()
	got, err := f.Approval(f.Context(), want.ID)
	f.must(err)
	f.equal(got, want)
}

// pending counts the evidence that waits with a text.
func (f *fixture) pending(text string) (count int) {
	f.Helper()
	waiting, err := f.WaitingEvidence(f.Context(), "", f.clock.Now().Add(time.Hour), 1000)
	f.must(err)
	for _, one := range waiting {
		if string(one.Body) == text {
			count++
		}
	}
	return count
}

func (f *fixture) note(text string) store.Evidence {
	return store.Evidence{At: f.clock.Now(), Body: json.RawMessage(text)}
}

// testApprovals: what is asked for is approved by another, and consumed once, each with its evidence.
func testApprovals(f *fixture) {
	_, err := f.Approval(f.Context(), "unknown")
	f.want(err, store.ErrNotFound)
	a := f.approval()
	f.must(f.OpenApproval(f.Context(), a, f.note(`"opened"`)))
	f.want(f.OpenApproval(f.Context(), a, f.note(`"opened"`)), store.ErrConflict)
	f.wantApproval(a)
	f.equal(f.pending(`"opened"`), 1)

	f.want(f.consume(a.ID, a.Digest, "alice", f.note(`"consumed"`)), store.ErrConflict) // nobody has approved it
	d := f.decision(a, true)
	got, err := f.DecideApproval(f.Context(), d, f.note(`"decided"`))
	f.must(err)
	a.State, a.DecidedBy, a.DecidedAt, a.ExpiresAt = store.ApprovalGiven, d.By, f.clock.Now(), d.ExpiresAt
	f.equal(got, a)
	f.wantApproval(a)
	_, err = f.DecideApproval(f.Context(), f.decision(a, false), f.note(`"decided"`))
	f.want(err, store.ErrConsumed)
	f.equal(f.pending(`"decided"`), 1)

	f.want(f.consume(a.ID, f.digest(), "alice", f.note(`"consumed"`)), store.ErrConflict) // of something else
	f.want(f.consume("unknown", a.Digest, "alice", f.note(`"consumed"`)), store.ErrNotFound)
	f.equal(f.pending(`"consumed"`), 0)
	f.must(f.consume(a.ID, a.Digest, "alice", f.note(`"consumed"`)))
	f.want(f.consume(a.ID, a.Digest, "alice", f.note(`"consumed"`)), store.ErrConsumed)
	a.State, a.ConsumedBy, a.ConsumedAt = store.ApprovalConsumed, "alice", f.clock.Now()
	f.wantApproval(a)
	f.equal(f.pending(`"consumed"`), 1)
}

// testEndApproval: what failed is approved again, and what is done is over; each execution ends once.
func testEndApproval(f *fixture) {
	a := f.approval()
	f.must(f.OpenApproval(f.Context(), a))
	f.want(f.EndApproval(f.Context(), store.ApprovalEnd{ID: "unknown"}), store.ErrNotFound)
	f.want(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, Failure: "x"}, f.note(`"ended"`)), store.ErrConflict) // nobody carries it out
	d := f.decision(a, true)
	a, err := f.DecideApproval(f.Context(), d)
	f.must(err)
	first, err := f.ConsumeApproval(f.Context(), a.ID, a.Digest, "alice")
	f.must(err)
	a.State, a.ConsumedBy, a.ConsumedAt = store.ApprovalConsumed, "alice", f.clock.Now()
	f.equal(first, a)
	f.clock.set(f.clock.Now().Add(time.Second))
	f.want(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, ConsumedAt: f.clock.Now(), Failure: "x"}, f.note(`"ended"`)), store.ErrConflict) // another one
	f.equal(f.pending(`"ended"`), 0)
	f.must(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, ConsumedAt: first.ConsumedAt, Failure: "the HSM: é"}, f.note(`"ended"`)))
	a.State, a.EndedAt, a.Failure = store.ApprovalGiven, f.clock.Now(), "the HSM: é"
	f.wantApproval(a)
	f.equal(f.pending(`"ended"`), 1)
	f.want(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, ConsumedAt: first.ConsumedAt}), store.ErrConflict)

	f.clock.set(f.clock.Now().Add(time.Second))
	second, err := f.ConsumeApproval(f.Context(), a.ID, a.Digest, "bob") // once more, and no longer than before
	f.must(err)
	a.State, a.ConsumedBy, a.ConsumedAt, a.EndedAt, a.Failure = store.ApprovalConsumed, "bob", f.clock.Now(), time.Time{}, ""
	f.equal(second, a)
	f.want(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, ConsumedAt: first.ConsumedAt, Failure: "late"}), store.ErrConflict)
	f.must(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, ConsumedAt: second.ConsumedAt}))
	a.EndedAt = f.clock.Now()
	f.wantApproval(a)
	f.want(f.consume(a.ID, a.Digest, "alice"), store.ErrConsumed)
	f.want(f.EndApproval(f.Context(), store.ApprovalEnd{ID: a.ID, ConsumedAt: second.ConsumedAt, Failure: "again"}), store.ErrConflict)

	late := f.approval()
	f.must(f.OpenApproval(f.Context(), late))
	d = f.decision(late, true)
	_, err = f.DecideApproval(f.Context(), d)
	f.must(err)
	begun, err := f.ConsumeApproval(f.Context(), late.ID, late.Digest, "alice")
	f.must(err)
	f.clock.set(d.ExpiresAt)
	f.must(f.EndApproval(f.Context(), store.ApprovalEnd{ID: late.ID, ConsumedAt: begun.ConsumedAt, Failure: "x"}))
	f.want(f.consume(late.ID, late.Digest, "alice"), store.ErrExpired)
}

// testApprovalsRefused: who asks does not approve, by whatever name or certificate; what was refused, or is too late, is not consumed.
func testApprovalsRefused(f *fixture) {
	a := f.approval()
	f.must(f.OpenApproval(f.Context(), a))
	for _, by := range []store.Approver{
		a.RequestedBy, {Name: "ALICE", Certificate: f.digest()}, {Name: "bob", Certificate: a.RequestedBy.Certificate},
	} {
		own := f.decision(a, true)
		own.By = by
		_, err := f.DecideApproval(f.Context(), own, f.note(`"own"`))
		f.want(err, store.ErrConflict)
	}
	f.wantApproval(a)
	back := f.decision(a, false) // but may take it back
	back.By = a.RequestedBy
	got, err := f.DecideApproval(f.Context(), back, f.note(`"back"`))
	f.must(err)
	a.State, a.DecidedBy, a.DecidedAt = store.ApprovalRefused, back.By, f.clock.Now()
	f.equal(got, a)
	f.want(f.consume(a.ID, a.Digest, "alice"), store.ErrConsumed)
	f.equal(f.pending(`"own"`), 0)
	f.equal(f.pending(`"back"`), 1)

	late, given := f.approval(), f.approval()
	f.must(f.OpenApproval(f.Context(), late))
	f.must(f.OpenApproval(f.Context(), given))
	d := f.decision(given, true)
	_, err = f.DecideApproval(f.Context(), d)
	f.must(err)
	f.clock.set(late.ExpiresAt)
	_, err = f.DecideApproval(f.Context(), f.decision(late, true))
	f.want(err, store.ErrExpired)
	f.must(f.consume(given.ID, given.Digest, "alice")) // it has a time of its own
	again := f.approval()
	f.must(f.OpenApproval(f.Context(), again))
	d = f.decision(again, true)
	_, err = f.DecideApproval(f.Context(), d)
	f.must(err)
	f.clock.set(d.ExpiresAt)
	f.want(f.consume(again.ID, again.Digest, "alice"), store.ErrExpired)
	_, err = f.DecideApproval(f.Context(), store.ApprovalDecision{ID: "unknown"})
	f.want(err, store.ErrNotFound)
}

// testListApprovals: the newest first, part by part; what is long over goes.
func testListApprovals(f *fixture) {
	var all []store.Approval
	for i := range 5 {
		f.clock.set(f.clock.Now().Add(time.Duration(i%2) * time.Minute)) // some at the same time
		a := f.approval()
		f.must(f.OpenApproval(f.Context(), a))
		all = append([]store.Approval{a}, all...)
	}
	var found []store.Approval
	page := store.Page{Limit: 2}
	for {
		part, err := f.ListApprovals(f.Context(), page)
		f.must(err)
		found = append(found, part...)
		if len(part) < page.Limit {
			break
		}
		last := part[len(part)-1]
		page.At, page.Key = last.RequestedAt, last.ID
	}
	f.equal(found, all)
	f.clock.set(all[0].ExpiresAt.Add(store.ApprovalsLast))
	_, err := f.Purge(f.Context(), 100)
	f.must(err)
	left, err := f.ListApprovals(f.Context(), store.Page{Limit: 100})
	f.must(err)
	f.equal(len(left), 0)
}

// testRaceApprovals: of all that decide one wins, and of all that consume.
func testRaceApprovals(f *fixture) {
	a := f.approval()
	f.must(f.OpenApproval(f.Context(), a))
	d := f.decision(a, true)
	f.oneWins(race(func(int) error {
		_, err := f.DecideApproval(f.Context(), d, f.note(`"decided"`))
		return err
	}), store.ErrConsumed)
	f.equal(f.pending(`"decided"`), 1)
	f.oneWins(race(func(int) error { return f.consume(a.ID, a.Digest, "alice", f.note(`"consumed"`)) }), store.ErrConsumed)
	f.equal(f.pending(`"consumed"`), 1)
	begun, err := f.Approval(f.Context(), a.ID)
	f.must(err)
	end := store.ApprovalEnd{ID: a.ID, ConsumedAt: begun.ConsumedAt, Failure: "x"}
	f.oneWins(race(func(int) error { return f.EndApproval(f.Context(), end, f.note(`"failed"`)) }), store.ErrConflict)
	f.equal(f.pending(`"failed"`), 1)
	f.oneWins(race(func(int) error { return f.consume(a.ID, a.Digest, "alice", f.note(`"again"`)) }), store.ErrConsumed)
	f.equal(f.pending(`"again"`), 1)
}

// oneWins demands that one of several callers succeeded and the others got an error.
func (f *fixture) oneWins(results []error, other error) {
	f.Helper()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, other):
			f.Errorf("%v, want %v", err, other)
		}
	}
	f.equal(won, 1)
}

// testReplaceUser: a user is replaced as the caller read them, or not at all.
func testReplaceUser(f *fixture) {
	user := store.User{Subject: "1", Username: "alice", CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(), Epoch: 1}
	other := store.User{Subject: "2", Username: "bob", CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now()}
	f.want(f.ReplaceUser(f.Context(), user, user.UpdatedAt), store.ErrRevoked)
	f.must(f.PutUser(f.Context(), user))
	f.must(f.PutUser(f.Context(), other))
	read := user.UpdatedAt
	user.Username, user.UpdatedAt, user.Disabled = "alicia", read.Add(time.Second), true
	user.Claims, user.Password, user.UserCode = json.RawMessage(`{"name":"é"}`), "$argon2id$x", "code"
	f.want(f.ReplaceUser(f.Context(), user, read.Add(time.Microsecond), f.note(`"replaced"`)), store.ErrRevoked)
	f.must(f.ReplaceUser(f.Context(), user, read, f.note(`"replaced"`)))
	got, err := f.User(f.Context(), "1")
	f.must(err)
	f.equal(got, user)
	f.want(f.ReplaceUser(f.Context(), user, read, f.note(`"replaced"`)), store.ErrRevoked)
	taken := user
	taken.Username = "bob"
	f.want(f.ReplaceUser(f.Context(), taken, user.UpdatedAt, f.note(`"replaced"`)), store.ErrConflict)
	f.equal(f.pending(`"replaced"`), 1)
	f.must(f.EraseUser(f.Context(), "1"))
	erased, err := f.User(f.Context(), "1")
	f.must(err)
	f.want(f.ReplaceUser(f.Context(), user, erased.UpdatedAt), store.ErrRevoked)
}

// testChangeEvidence: what operators change leaves its evidence with it, and none where nothing changes.
func testChangeEvidence(f *fixture) {
	client, token, key := f.client("client"), f.initialToken(3), f.key("kid")
	user := store.User{Subject: "1", Username: "alice", CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now()}
	f.must(f.PutUser(f.Context(), store.User{Subject: "2", Username: "bob", CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now()}))
	taken := user
	taken.Username = "bob"
	for _, change := range []struct {
		name    string
		do      func(store.Evidence) error
		refused error
	}{
		{"PutClient", func(e store.Evidence) error { return f.PutClient(f.Context(), client, e) }, nil},
		{"PutClient again", func(e store.Evidence) error { return f.PutClient(f.Context(), client, e) }, store.ErrConflict},
		{"PutClient 3", func(e store.Evidence) error {
			client.Version = 3
			return f.PutClient(f.Context(), client, e)
		}, store.ErrConflict},
		{"PutClient 2", func(e store.Evidence) error {
			client.Version = 2
			return f.PutClient(f.Context(), client, e)
		}, nil},
		{"DeleteClient", func(e store.Evidence) error { return f.DeleteClient(f.Context(), "client", store.RevokedByOperator, e) }, nil},
		{"DeleteClient again", func(e store.Evidence) error { return f.DeleteClient(f.Context(), "client", store.RevokedByOperator, e) }, store.ErrNotFound},
		{"PutInitialToken", func(e store.Evidence) error { return f.PutInitialToken(f.Context(), token, e) }, nil},
		{"DeleteInitialToken", func(e store.Evidence) error { return f.DeleteInitialToken(f.Context(), token.Organisation, e) }, nil},
		{"DeleteInitialToken again", func(e store.Evidence) error { return f.DeleteInitialToken(f.Context(), token.Organisation, e) }, store.ErrNotFound},
		{"PutUser", func(e store.Evidence) error { return f.PutUser(f.Context(), user, e) }, nil},
		{"PutUser of a name", func(e store.Evidence) error { return f.PutUser(f.Context(), taken, e) }, store.ErrConflict},
		{"EndSessions", func(e store.Evidence) error { return f.EndSessions(f.Context(), "1", e) }, nil},
		{"AddKey", func(e store.Evidence) error { return f.AddKey(f.Context(), key, e) }, nil},
		{"AddKey again", func(e store.Evidence) error { return f.AddKey(f.Context(), key, e) }, store.ErrConflict},
		{"MoveKey", func(e store.Evidence) error {
			return f.MoveKey(f.Context(), "kid", "published", "active", f.clock.Now(), e)
		}, nil},
		{"MoveKey again", func(e store.Evidence) error {
			return f.MoveKey(f.Context(), "kid", "published", "active", f.clock.Now(), e)
		}, store.ErrConflict},
		{"SetKeyURIs", func(e store.Evidence) error { return f.SetKeyURIs(f.Context(), "kid", key.URIs, nil, e) }, nil},
		{"SetKeyURIs of none", func(e store.Evidence) error { return f.SetKeyURIs(f.Context(), "none", key.URIs, nil, e) }, store.ErrNotFound},
	} {
		text := fmt.Sprintf("%q", change.name)
		f.want(change.do(f.note(text)), change.refused)
		want := 1
		if change.refused != nil {
			want = 0
		}
		if got := f.pending(text); got != want {
			f.Errorf("%s left evidence %d times, want %d", change.name, got, want)
		}
	}
}

// testListGrantsBelow: a list of grants goes on after its last one, also among those of the same moment.
func testListGrantsBelow(f *fixture) {
	var all []string
	for range 5 {
		grant, _ := f.withCode()
		all = append(all, grant.ID)
	}
	whole, err := f.ListGrants(f.Context(), store.Filter{Limit: 100})
	f.must(err)
	f.equal(len(whole), len(all))
	var found []store.Grant
	filter := store.Filter{Limit: 2}
	for {
		part, err := f.ListGrants(f.Context(), filter)
		f.must(err)
		found = append(found, part...)
		if len(part) < filter.Limit {
			break
		}
		last := part[len(part)-1]
		filter.Until, filter.Below = last.CreatedAt, last.ID
	}
	f.equal(found, whole)
	_, err = f.ListConsents(f.Context(), store.Filter{Limit: 2, Until: f.clock.Now(), Below: "x"})
	f.must(err)
}
