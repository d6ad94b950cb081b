package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"countersign/store"
)

// handOff makes a hand-off of an interaction.
func (f *fixture) handOff(interaction store.Interaction) store.HandOff {
	return store.HandOff{
		ID: f.digest(), Interaction: interaction.ID, Browser: interaction.Browser, CreatedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(2 * time.Minute),
	}
}

// handedOff begins an interaction and hands it off.
func (f *fixture) handedOff() store.HandOff {
	f.Helper()
	_, interaction := f.begun()
	handOff := f.handOff(interaction)
	f.must(f.BeginHandOff(f.Context(), handOff))
	return handOff
}

// handOffAnswer makes an answer by which a user signed in.
func (f *fixture) handOffAnswer(subject string) store.HandOffAnswer {
	now := f.clock.Now()
	return store.HandOffAnswer{
		Answer: json.RawMessage(fmt.Sprintf(`{"number":%d}`, f.number())), Return: f.digest(), ReturnBy: now.Add(time.Minute),
		User: &store.User{Subject: subject, Username: "name of " + subject, CreatedAt: now, UpdatedAt: now},
	}
}

func testHandOff(f *fixture) {
	request, interaction := f.begun()
	handOff := f.handOff(interaction)
	f.must(f.BeginHandOff(f.Context(), handOff))
	f.must(f.BeginHandOff(f.Context(), handOff)) // the same page, loaded again
	got, err := f.HandOff(f.Context(), handOff.ID)
	f.must(err)
	f.equal(got, handOff)
	_, err = f.HandOff(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)
	f.want(f.BeginHandOff(f.Context(), f.handOff(f.interaction(request))), store.ErrNotFound)
	another := handOff
	_, elsewhere := f.begun()
	another.Interaction = elsewhere.ID
	f.want(f.BeginHandOff(f.Context(), another), store.ErrNotFound) // its handle is another interaction's

	f.clock.set(handOff.ExpiresAt.Add(-time.Microsecond))
	f.must(f.BeginHandOff(f.Context(), handOff))
	f.clock.set(handOff.ExpiresAt)
	f.want(f.BeginHandOff(f.Context(), handOff), store.ErrExpired)
	got, err = f.HandOff(f.Context(), handOff.ID)
	f.want(err, store.ErrExpired)
	f.equal(got, handOff)

	request, interaction = f.begun()
	handOff = f.handOff(interaction)
	f.must(f.BeginHandOff(f.Context(), handOff))
	f.must(f.Finish(f.Context(), store.Finish{Interaction: handOff.Interaction, Request: request.ID}))
	f.want(f.AnswerHandOff(f.Context(), handOff.ID, f.handOffAnswer("subject")), store.ErrConsumed)
}

func testAnswerHandOff(f *fixture) {
	f.want(f.AnswerHandOff(f.Context(), f.digest(), f.handOffAnswer("subject")), store.ErrNotFound)
	handOff, answer := f.handedOff(), f.handOffAnswer("subject")
	answer.Evidence = []store.Evidence{f.evidence("answers")}
	f.must(f.AnswerHandOff(f.Context(), handOff.ID, answer))
	f.equal(len(f.waiting("answers")), 1)
	got, err := f.HandOff(f.Context(), handOff.ID)
	f.want(err, store.ErrConsumed)
	handOff.Answer, handOff.Return, handOff.AnsweredAt, handOff.ExpiresAt = answer.Answer, answer.Return, f.clock.Now(), answer.ReturnBy
	handOff.Epoch = 1
	f.equal(got, handOff)
	again := f.handOffAnswer("subject")
	again.Evidence = []store.Evidence{f.evidence("answers")}
	f.want(f.AnswerHandOff(f.Context(), handOff.ID, again), store.ErrConsumed)
	f.want(f.BeginHandOff(f.Context(), handOff), store.ErrConsumed)
	f.equal(len(f.waiting("answers")), 1)

	refused := f.handedOff()
	f.must(f.AnswerHandOff(f.Context(), refused.ID, store.HandOffAnswer{
		Answer: json.RawMessage(`{"error":"access_denied"}`), Return: f.digest(), ReturnBy: f.clock.Now().Add(time.Minute),
	}))

	late := f.handedOff()
	f.clock.set(late.ExpiresAt)
	f.want(f.AnswerHandOff(f.Context(), late.ID, f.handOffAnswer("subject")), store.ErrExpired)
	f.clock.set(late.ExpiresAt.Add(-time.Microsecond))
	f.must(f.AnswerHandOff(f.Context(), late.ID, f.handOffAnswer("subject")))
}

// testAnswerHandOffUser: who signs in is stored, or found; the disabled and the erased are not admitted.
func testAnswerHandOffUser(f *fixture) {
	answer := f.handOffAnswer("new")
	answer.User.Claims = json.RawMessage(`{"name":"N"}`)
	f.must(f.AnswerHandOff(f.Context(), f.handedOff().ID, answer))
	user, err := f.User(f.Context(), "new")
	f.must(err)
	answer.User.Epoch = user.Epoch // the store counts
	f.equal(user, *answer.User)
	f.clock.set(f.clock.Now().Add(time.Second))
	f.must(f.AnswerHandOff(f.Context(), f.handedOff().ID, f.handOffAnswer("new"))) // without claims: nothing changes
	user, err = f.User(f.Context(), "new")
	f.must(err)
	f.equal(user, *answer.User)
	changed := f.handOffAnswer("new")
	changed.User.Claims, changed.User.Username = json.RawMessage(`{"name":"M"}`), "another name"
	f.must(f.AnswerHandOff(f.Context(), f.handedOff().ID, changed))
	user, err = f.User(f.Context(), "new")
	f.must(err)
	answer.User.Claims, answer.User.UpdatedAt = changed.User.Claims, changed.User.UpdatedAt
	f.equal(user, *answer.User)

	refuse := func(answer store.HandOffAnswer, want error) {
		f.Helper()
		handOff := f.handedOff()
		answer.Evidence = []store.Evidence{f.evidence("refused")}
		f.want(f.AnswerHandOff(f.Context(), handOff.ID, answer), want)
		_, err := f.HandOff(f.Context(), handOff.ID)
		f.must(err) // still open
		f.equal(len(f.waiting("refused")), 0)
	}
	named := f.handOffAnswer("other")
	named.User.Username = answer.User.Username
	refuse(named, store.ErrConflict)
	user.Disabled = true
	f.must(f.PutUser(f.Context(), user))
	refuse(f.handOffAnswer("new"), store.ErrRevoked)
	f.must(f.EraseUser(f.Context(), "new"))
	refuse(f.handOffAnswer("new"), store.ErrRevoked)
}

func testAdmitUser(f *fixture) {
	now := f.clock.Now()
	user := store.User{Subject: "new", Username: "name of new", CreatedAt: now, UpdatedAt: now}
	f.must(f.AdmitUser(f.Context(), user))
	got, err := f.User(f.Context(), "new")
	f.must(err)
	user.Epoch = got.Epoch // the store counts
	f.equal(got, user)
	user.Claims, user.Password = json.RawMessage(`{"name":"N"}`), "hash"
	f.must(f.PutUser(f.Context(), user))
	f.clock.set(now.Add(time.Second))
	f.must(f.AdmitUser(f.Context(), store.User{
		Subject: "new", Username: "another", Claims: json.RawMessage(`{}`), CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}))
	got, err = f.User(f.Context(), "new")
	f.must(err)
	f.equal(got, user)
	f.want(f.AdmitUser(f.Context(), store.User{Subject: "other", Username: "name of new", CreatedAt: now, UpdatedAt: now}), store.ErrConflict)
	_, err = f.User(f.Context(), "other")
	f.want(err, store.ErrNotFound)
	user.Disabled = true
	f.must(f.PutUser(f.Context(), user))
	f.want(f.AdmitUser(f.Context(), user), store.ErrRevoked)
	f.must(f.EraseUser(f.Context(), "new"))
	f.want(f.AdmitUser(f.Context(), user), store.ErrRevoked)
}

func testReturnHandOff(f *fixture) {
	handOff, answer := f.handedOff(), f.handOffAnswer("subject")
	f.must(f.AnswerHandOff(f.Context(), handOff.ID, answer))
	_, err := f.ReturnHandOff(f.Context(), handOff.Interaction, f.digest())
	f.want(err, store.ErrNotFound)
	_, err = f.ReturnHandOff(f.Context(), f.handedOff().Interaction, answer.Return)
	f.want(err, store.ErrNotFound)
	f.clock.set(answer.ReturnBy)
	_, err = f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
	f.want(err, store.ErrExpired)
	f.clock.set(answer.ReturnBy.Add(-time.Microsecond))
	got, err := f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
	f.must(err)
	handOff.Answer, handOff.Return, handOff.ExpiresAt = answer.Answer, answer.Return, answer.ReturnBy
	handOff.AnsweredAt, handOff.ReturnedAt, handOff.Epoch = handOff.CreatedAt, f.clock.Now(), 1
	f.equal(got, handOff)
	_, err = f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
	f.want(err, store.ErrConsumed)
}

// testHandOffEpoch: what begins at the return is of the epoch of the answer, so that all sessions that ended in between ended it too.
func testHandOffEpoch(f *fixture) {
	back := func(between func()) (store.HandOff, store.Pending) {
		f.Helper()
		handOff, answer := f.handedOff(), f.handOffAnswer("subject")
		f.must(f.AnswerHandOff(f.Context(), handOff.ID, answer))
		between()
		got, err := f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
		f.must(err)
		session := f.session()
		session.Epoch = got.Epoch
		f.must(f.SignIn(f.Context(), handOff.Interaction, session))
		pending, err := f.Interaction(f.Context(), handOff.Interaction, handOff.Browser)
		f.must(err)
		return got, pending
	}
	for name, end := range map[string]func() error{
		"EndSessions": func() error { return f.EndSessions(f.Context(), "subject") },
		"EndOtherSessions": func() error {
			_, err := f.EndOtherSessions(f.Context(), "subject", store.Digest{})
			return err
		},
	} {
		before, pending := back(func() {})
		if pending.Session == nil {
			f.Errorf("%s: a session does not begin that nothing ended", name)
		}
		after, pending := back(func() { f.must(end()) })
		f.equal(after.Epoch, before.Epoch)
		if pending.Session != nil {
			f.Errorf("%s: a session begins that was ended", name)
		}
		next, _ := back(func() {})
		f.equal(next.Epoch, before.Epoch+1)
	}
	refused := f.handedOff()
	answer := store.HandOffAnswer{Answer: json.RawMessage(`{}`), Return: f.digest(), ReturnBy: f.clock.Now().Add(time.Minute)}
	f.must(f.AnswerHandOff(f.Context(), refused.ID, answer))
	got, err := f.ReturnHandOff(f.Context(), refused.Interaction, answer.Return)
	f.must(err)
	f.equal(got.Epoch, int64(0))
}

// testRaceHandOffEpoch: of an answer, its return and the end of all sessions at the same time, whatever their order is, no session
// outlives the end that answered before it.
func testRaceHandOffEpoch(f *fixture) {
	f.must(f.AdmitUser(f.Context(), *f.handOffAnswer("subject").User))
	for range 20 {
		handOff, answer := f.handedOff(), f.handOffAnswer("subject")
		f.must(f.AnswerHandOff(f.Context(), handOff.ID, answer))
		session := f.session()
		errs := race(func(i int) error {
			switch i {
			case 0:
				got, err := f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
				if err != nil && !errors.Is(err, store.ErrConsumed) { // or it was this one, and the next verb had to wait
					return err
				}
				if err == nil {
					session.Epoch = got.Epoch
				}
				return f.SignIn(f.Context(), handOff.Interaction, session)
			case 1:
				return f.EndSessions(f.Context(), "subject")
			}
			return nil
		})
		f.must(errs[0])
		f.must(errs[1])
		_, err := f.Session(f.Context(), session.ID)
		f.want(err, store.ErrNotFound)
	}
}

func testPurgeHandOffs(f *fixture) {
	handOff := f.handedOff()
	f.clock.set(handOff.ExpiresAt.Add(time.Hour - time.Microsecond))
	f.purged()
	f.want(f.BeginHandOff(f.Context(), handOff), store.ErrExpired)
	f.clock.set(handOff.ExpiresAt.Add(time.Hour))
	f.purged()
	_, err := f.HandOff(f.Context(), handOff.ID)
	f.want(err, store.ErrNotFound)
}

func testRaceAnswerHandOff(f *fixture) {
	handOff := f.handedOff()
	answers := make([]store.HandOffAnswer, racers)
	for i := range answers {
		answers[i] = f.handOffAnswer("subject")
	}
	winner := f.winner(race(func(i int) error { return f.AnswerHandOff(f.Context(), handOff.ID, answers[i]) }), store.ErrConsumed)
	for i, answer := range answers {
		got, err := f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
		if i != winner {
			f.want(err, store.ErrNotFound)
			continue
		}
		f.must(err)
		f.equal(got.Answer, answer.Answer)
	}
}

func testRaceReturnHandOff(f *fixture) {
	handOff, answer := f.handedOff(), f.handOffAnswer("subject")
	f.must(f.AnswerHandOff(f.Context(), handOff.ID, answer))
	f.winner(race(func(int) error {
		_, err := f.ReturnHandOff(f.Context(), handOff.Interaction, answer.Return)
		return err
	}), store.ErrConsumed)
}

// testEndUpstream: what began by a session elsewhere ends with it, also what only would begin, and nothing else does.
func testEndUpstream(f *fixture) {
	f.putUser("subject", false)
	ended := func(upstream store.Digest, want int) {
		f.Helper()
		got, err := f.EndUpstream(f.Context(), upstream, f.evidence("upstream"))
		f.must(err)
		f.equal(got, want)
	}
	one, two, other, plain := f.named(), f.named(), f.named(), f.session()
	one.Upstream, other.Upstream = f.digest(), f.digest()
	two.Upstream = one.Upstream
	_, interaction := f.begun()
	f.must(f.SignIn(f.Context(), interaction.ID, one))
	for _, each := range []store.Session{two, other, plain} {
		f.must(f.StartSession(f.Context(), each, store.Digest{}))
	}
	answer := func(upstream store.Digest) (store.HandOff, store.HandOffAnswer) {
		handOff, answer := f.handedOff(), f.handOffAnswer("subject")
		answer.User.Username, answer.Upstream = "subject", upstream
		f.must(f.AnswerHandOff(f.Context(), handOff.ID, answer))
		return handOff, answer
	}
	waiting, answered := answer(one.Upstream)
	back, returned := answer(one.Upstream)
	_, err := f.ReturnHandOff(f.Context(), back.Interaction, returned.Return)
	f.must(err)
	elsewhere, kept := answer(other.Upstream)

	ended(f.digest(), 0)
	ended(store.Digest{}, 0) // none is named so
	f.equal(len(f.waiting("upstream")), 0)
	ended(one.Upstream, 3)
	f.equal(len(f.waiting("upstream")), 1)
	for _, gone := range []store.Session{one, two} {
		_, err := f.Session(f.Context(), gone.ID)
		f.want(err, store.ErrNotFound)
	}
	for _, there := range []store.Session{other, plain} {
		_, err := f.Session(f.Context(), there.ID)
		f.must(err)
	}
	_, err = f.ReturnHandOff(f.Context(), waiting.Interaction, answered.Return)
	f.want(err, store.ErrExpired)
	_, err = f.ReturnHandOff(f.Context(), elsewhere.Interaction, kept.Return)
	f.must(err)
	ended(one.Upstream, 0)
	f.equal(len(f.waiting("upstream")), 1)
}
