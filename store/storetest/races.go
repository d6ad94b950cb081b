package storetest

import (
	"errors"
	"sync"
	"time"

	"countersign/store"
)

const racers = 64

// race runs attempt in many goroutines at once, numbered from 0, and returns what each got. It is made again where it was
// refused because too many wait.
func race(attempt func(racer int) error) []error {
	results := make([]error, racers)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range racers {
		running.Go(func() {
			<-start
			results[i] = attempt(i)
			// Nothing was done for a verb that was refused because too many wait, and so it races on.
			for tries := 0; errors.Is(results[i], store.ErrOverloaded) && tries < 200; tries++ {
				time.Sleep(100 * time.Millisecond)
				results[i] = attempt(i)
			}
		})
	}
	close(start)
	running.Wait()
	return results
}

// winner checks that exactly one racer won and that all others got the same answer, and returns the winner.
func (f *fixture) winner(results []error, others error) int {
	f.Helper()
	winner, winners := 0, 0
	for i, err := range results {
		switch {
		case err == nil:
			winner = i
			winners++
		case !errors.Is(err, others):
			f.Errorf("racer %d: got %v, want %v", i, err, others)
		}
	}
	if winners != 1 {
		f.Fatalf("%d of %d racers won, want 1", winners, len(results))
	}
	return winner
}

func testRacePush(f *fixture) {
	oneTime := f.oneTime()
	requests := make([]store.Request, racers)
	for i := range requests {
		requests[i] = f.request()
	}
	winner := f.winner(race(func(i int) error { return f.Push(f.Context(), requests[i], oneTime) }), store.ErrReplayed)
	for i, request := range requests {
		_, _, err := f.open(request.ID, store.Digest{})
		if i == winner {
			f.want(err, nil)
		} else {
			f.want(err, store.ErrNotFound)
		}
	}
}

func testRaceFinish(f *fixture) {
	request, interaction := f.begun()
	grants, codes := make([]store.Grant, racers), make([]store.Code, racers)
	for i := range racers {
		grants[i] = f.grant()
		codes[i] = f.code(grants[i])
	}
	winner := f.winner(race(func(i int) error {
		return f.Finish(f.Context(), store.Finish{
			Interaction: interaction.ID, Request: request.ID, Grant: &grants[i], Code: &codes[i],
		})
	}), store.ErrConsumed)
	for i, code := range codes {
		_, _, err := f.CodeGrant(f.Context(), code.ID)
		if i == winner {
			f.want(err, nil)
		} else {
			f.want(err, store.ErrNotFound)
		}
	}
}

func testRaceRedeemCode(f *fixture) {
	grant, code := f.withCode()
	issued := make([]store.Issued, racers)
	for i := range issued {
		issued[i] = f.issued(grant)
	}
	winner := f.winner(race(func(i int) error { return f.RedeemCode(f.Context(), code.ID, issued[i]) }), store.ErrConsumed)
	_, got, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	if got.RevokedAt.IsZero() {
		f.Error("a code was redeemed twice and its grant is still valid")
	}
	for i, b := range issued {
		_, err := f.AccessGrant(f.Context(), b.AccessToken.ID)
		if i == winner {
			f.want(err, store.ErrRevoked)
		} else {
			f.want(err, store.ErrNotFound)
		}
	}
}

func testRaceRefresh(f *fixture) {
	grant, issued := f.redeemed()
	oneTime := f.oneTime()
	tokens := make([]store.AccessToken, racers)
	for i := range tokens {
		tokens[i] = f.accessToken(grant)
	}
	winner := f.winner(race(func(i int) error {
		return f.Refresh(f.Context(), issued.RefreshToken.ID, tokens[i], oneTime)
	}), store.ErrReplayed)
	for i, token := range tokens {
		_, err := f.AccessGrant(f.Context(), token.ID)
		if i == winner {
			f.want(err, nil)
		} else {
			f.want(err, store.ErrNotFound)
		}
	}
}

func testRaceAccessGrant(f *fixture) {
	_, issued := f.redeemed()
	oneTime := f.oneTime()
	f.winner(race(func(int) error {
		_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID, oneTime)
		return err
	}), store.ErrReplayed)
}

// testRaceUse has the values in another order for every second racer.
func testRaceUse(f *fixture) {
	a, b := f.oneTime(), f.oneTime()
	f.winner(race(func(i int) error {
		if i%2 == 0 {
			return f.ConsumeOneTime(f.Context(), a, b)
		}
		return f.ConsumeOneTime(f.Context(), b, a)
	}), store.ErrReplayed)
}

// testRaceMixed: verbs that fail at the same time as others succeed roll back their own changes and no others.
func testRaceMixed(f *fixture) {
	seen := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	codes, issued, oneTimes := make([]store.Code, racers), make([]store.Issued, racers), make([]store.OneTime, racers)
	for i := range racers {
		var grant store.Grant
		grant, codes[i] = f.withCode()
		issued[i], oneTimes[i] = f.issued(grant), f.oneTime()
	}
	results := race(func(i int) error {
		if i%2 == 1 {
			return f.RedeemCode(f.Context(), codes[i].ID, issued[i], oneTimes[i], seen)
		}
		return f.RedeemCode(f.Context(), codes[i].ID, issued[i], oneTimes[i])
	})
	for i, err := range results {
		code, _, readErr := f.CodeGrant(f.Context(), codes[i].ID)
		f.must(readErr)
		_, tokenErr := f.AccessGrant(f.Context(), issued[i].AccessToken.ID)
		if i%2 == 1 {
			f.want(err, store.ErrReplayed)
			f.equal(code, codes[i])
			f.want(tokenErr, store.ErrNotFound)
			f.must(f.ConsumeOneTime(f.Context(), oneTimes[i]))
		} else {
			f.want(err, nil)
			f.equal(code.ConsumedAt, f.clock.Now())
			f.want(tokenErr, nil)
			f.want(f.ConsumeOneTime(f.Context(), oneTimes[i]), store.ErrReplayed)
		}
	}
}

// testRaceSignIn: each sign-in ends the former one, so one remains.
func testRaceSignIn(f *fixture) {
	request, interaction := f.begun()
	sessions := make([]store.Session, racers)
	for i := range sessions {
		sessions[i] = f.session()
	}
	for i, err := range race(func(i int) error { return f.SignIn(f.Context(), interaction.ID, sessions[i]) }) {
		if err != nil {
			f.Fatalf("racer %d: %v", i, err)
		}
	}
	pending, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	if pending.Session == nil {
		f.Fatal("the interaction is bound to no session")
	}
	for _, session := range sessions {
		_, alive, err := f.open(request.ID, session.ID)
		f.must(err)
		if (alive != nil) != (session.ID == pending.Interaction.Session) {
			f.Errorf("session %x alive: %v", session.ID, alive != nil)
		}
	}
}

func testRacePutClient(f *fixture) {
	client := f.client("client")
	f.winner(race(func(int) error { return f.PutClient(f.Context(), client) }), store.ErrConflict)
	client.Version = 2
	f.winner(race(func(int) error { return f.PutClient(f.Context(), client) }), store.ErrConflict)
}

func testRaceMoveKey(f *fixture) {
	f.must(f.AddKey(f.Context(), f.key("key")))
	f.winner(race(func(int) error {
		return f.MoveKey(f.Context(), "key", "published", "active", f.clock.Now())
	}), store.ErrConflict)
}
