package signer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// life plays a schedule against a clock and holds every moment to what verifiers need.
type life struct {
	t        *testing.T
	schedule Schedule
	now      time.Time
	records  []Record
	made     int
	// published remembers when each kid was first in the key set.
	published map[string]time.Time
	// lastSigned remembers when each kid signed last.
	lastSigned map[string]time.Time
}

func newLife(t *testing.T, schedule Schedule) *life {
	l := &life{t: t, schedule: schedule, now: time.Unix(1_800_000_000, 0), published: map[string]time.Time{}, lastSigned: map[string]time.Time{}}
	for _, alg := range []Algorithm{PS256, ES256} {
		first := l.generate(Record{Algorithm: alg, Uses: []Use{UseAccessToken, UseIDToken}, URIs: []string{"pkcs11:token=a"}})
		l.published[first.ID] = l.now.Add(-time.Hour) // there was a time before
		l.records[len(l.records)-1].State, l.records[len(l.records)-1].ActivatedAt = Active, l.now
	}
	return l
}

func (l *life) generate(like Record) Record {
	l.made++
	key := Record{ID: fmt.Sprintf("key-%03d", l.made), Algorithm: like.Algorithm, Uses: like.Uses, URIs: like.URIs, State: Published, CreatedAt: l.now}
	l.records = append(l.records, key)
	l.published[key.ID] = l.now
	return key
}

// apply takes a step as a node does: only if the key is still in the state that the step speaks of.
func (l *life) apply(step Step) {
	if step.Change == Generate {
		if _, ok := successor(l.records, step.Key); !ok { // the store lets one node do it
			l.generate(step.Key)
		}
		return
	}
	for i := range l.records {
		switch r := &l.records[i]; {
		case r.ID != step.Key.ID || r.State != step.Key.State:
		case step.Change == Activate:
			r.State, r.ActivatedAt = Active, l.now
		case step.Change == Retire:
			r.State, r.RetiredAt = Retiring, l.now
		}
	}
}

// check signs for each algorithm and use, and destroys what may be destroyed.
func (l *life) check() {
	l.t.Helper()
	for _, alg := range []Algorithm{PS256, ES256} {
		var current *Record
		for i, r := range l.records {
			if r.State == Active && r.Algorithm == alg && (current == nil || older(*current, r)) {
				current = &l.records[i]
			}
		}
		if current == nil {
			l.t.Fatalf("%s: no active key for %s", l.now, alg)
		}
		// A verifier that fetched the key set just before the key was in it asks again in time.
		if known := l.now.Sub(l.published[current.ID]); known < JWKSMaxAge {
			l.t.Fatalf("%s signs after %s: a copy of the key set may lack it", current.ID, known)
		}
		l.lastSigned[current.ID] = l.now
	}
	for i := len(l.records) - 1; i >= 0; i-- {
		r := l.records[i]
		if r.State != Retiring || l.now.Before(l.schedule.DestructibleAt(r)) {
			continue
		}
		if alive := l.lastSigned[r.ID].Add(l.schedule.TokenLifetime); l.now.Before(alive) {
			l.t.Fatalf("%s may be destroyed at %s, and a token that it signed lives until %s", r.ID, l.now, alive)
		}
		l.records = append(l.records[:i], l.records[i+1:]...)
	}
}

// TestSchedule plays years of rotation with nodes that look at odd times, several of them with an old view.
func TestSchedule(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		l := newLife(t, Schedule{TokenLifetime: time.Hour, Every: time.Duration(1+random.IntN(100)) * 10 * time.Minute})
		for range 2000 {
			l.now = l.now.Add(time.Duration(random.IntN(600)) * time.Second)
			due := l.schedule.Due(append([]Record(nil), l.records...), l.now)
			for range 1 + random.IntN(3) { // as many nodes saw the same
				for _, step := range due {
					l.apply(step)
					l.check()
				}
			}
			l.check()
		}
		if l.made < 20 {
			t.Errorf("seed %d: only %d keys were made", seed, l.made)
		}
		if len(l.records) > 30 {
			t.Errorf("seed %d: %d keys are left", seed, len(l.records))
		}
	}
}

// TestKnownBeforeItSigns: a key does not sign when the copies of the key set that were given out at its making end, but when
// those end that a node gave out which learnt of it late, or by a clock that is behind.
//
// Covers: FD-97.
func TestKnownBeforeItSigns(t *testing.T) {
	made := time.Unix(1_800_000_000, 0)
	uses := []Use{UseAccessToken}
	current := Record{ID: "a", Algorithm: PS256, Uses: uses, State: Active, ActivatedAt: made.Add(-48 * time.Hour)}
	next := Record{ID: "b", Algorithm: PS256, Uses: uses, State: Published, CreatedAt: made}
	for after, want := range map[time.Duration]bool{
		JWKSMaxAge: false, JWKSMaxAge + 263*time.Millisecond: false, JWKSMaxAge + 30*time.Second: false,
		KnownAfter - time.Nanosecond: false, KnownAfter: true,
	} {
		name := "refuses after "
		if want {
			name = "accepts after "
		}
		t.Run(name+after.String(), func(t *testing.T) {
			due := Schedule{Every: 24 * time.Hour}.Due([]Record{current, next}, made.Add(after))
			if got := len(due) == 1 && due[0].Change == Activate; got != want || len(due) > 1 {
				t.Errorf("due is %v, to be activated: %v", due, want)
			}
		})
	}
	if KnownAfter < JWKSMaxAge+30*time.Second {
		t.Errorf("the margin is %s", KnownAfter-JWKSMaxAge)
	}
}

// TestScheduleWaits: what must not be activated is not.
func TestScheduleWaits(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	uses := []Use{UseAccessToken, UseIDToken}
	current := Record{ID: "a", Algorithm: PS256, Uses: uses, State: Active, ActivatedAt: start, URIs: []string{"1", "2"}}
	next := Record{ID: "b", Algorithm: PS256, Uses: uses, State: Published, CreatedAt: start.Add(time.Hour), URIs: []string{"1", "2"}}
	day := Schedule{Every: 24 * time.Hour}
	change := func(change func(*Record)) Record {
		r := next
		change(&r)
		return r
	}
	for name, test := range map[string]struct {
		schedule Schedule
		records  []Record
		after    time.Duration
		want     []Change
	}{
		"nothing before its time":          {day, []Record{current, next}, 23 * time.Hour, nil},
		"a successor when its time comes":  {day, []Record{current}, 24*time.Hour - KnownAfter, []Change{Generate}},
		"activation":                       {day, []Record{current, next}, 24 * time.Hour, []Change{Activate}},
		"not while copies may lack it":     {day, []Record{current, change(func(r *Record) { r.CreatedAt = start.Add(24*time.Hour - time.Minute) })}, 24 * time.Hour, nil},
		"not while a replica lacks it":     {day, []Record{current, change(func(r *Record) { r.URIs = r.URIs[:1] })}, 24 * time.Hour, []Change{Copy}},
		"a copy before its time":           {day, []Record{current, change(func(r *Record) { r.URIs = r.URIs[:1] })}, 2 * time.Hour, []Change{Copy}},
		"not for fewer uses":               {day, []Record{current, change(func(r *Record) { r.Uses = uses[:1] })}, 24 * time.Hour, []Change{Generate}},
		"not with another algorithm":       {day, []Record{current, change(func(r *Record) { r.Algorithm = ES256 })}, 24 * time.Hour, []Change{Generate}},
		"nothing by itself without Every":  {Schedule{}, []Record{current, next}, 1000 * time.Hour, nil},
		"the older of two active retires":  {Schedule{}, []Record{current, change(func(r *Record) { r.State, r.ActivatedAt = Active, start.Add(time.Hour) })}, time.Hour, []Change{Retire}},
		"not the only one for one use":     {Schedule{}, []Record{current, change(func(r *Record) { r.State, r.ActivatedAt, r.Uses = Active, start.Add(time.Hour), uses[:1] })}, time.Hour, nil},
		"two activated at once: one stays": {Schedule{}, []Record{current, change(func(r *Record) { r.State, r.ActivatedAt = Active, start })}, time.Hour, []Change{Retire}},
	} {
		var got []Change
		for _, step := range test.schedule.Due(test.records, start.Add(test.after)) {
			got = append(got, step.Change)
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
