package signer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// usages are what a meter was told.
type usages struct {
	mu   sync.Mutex
	told []string
}

func (u *usages) Used(_ context.Context, usage Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	outcome := "ok"
	for _, err := range []error{ErrUnavailable, ErrWrongSignature} {
		if errors.Is(usage.Err, err) {
			outcome = err.Error()
		}
	}
	u.told = append(u.told, fmt.Sprint(usage.Replica, " ", usage.Algorithm, " ", usage.Use, " ", outcome, " ", usage.Took >= 0))
}

func (u *usages) taken() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	told := u.told
	u.told = nil
	slices.Sort(told)
	return told
}

// Covers: NM-05. The meter is told of each HSM that was asked, and what came of it; HSMs that are left alone are known without asking.
func TestMeter(t *testing.T) {
	keys, told := &softKeys{}, &usages{}
	keys.add(t, ES256, Active, time.Now(), UseIDToken)
	a, b := &faultyHSM{keys: keys}, &faultyHSM{keys: keys}
	s, err := New(t.Context(), Config{
		Catalogue: keys, Replicas: []Replica{{Name: "a", Backend: a}, {Name: "b", Backend: loaded{b}}}, Meter: told,
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Active(t.Context(), UseIDToken, ES256)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a signature", func(t *testing.T) {
		mustSign(t, key)
		mustSign(t, key)
		if got := told.taken(); !slices.Equal(got, []string{"a ES256 id_token ok true", "b ES256 id_token ok true"}) {
			t.Errorf("told %q", got)
		}
	})
	t.Run("accepts an HSM that fails, and one in its place", func(t *testing.T) {
		a.fails(always(ErrUnavailable))
		for range 2 * breakAfter {
			mustSign(t, key)
		}
		if got := told.taken(); !slices.Contains(got, "a ES256 id_token "+ErrUnavailable.Error()+" true") || !slices.Contains(got, "b ES256 id_token ok true") {
			t.Errorf("told %q", got)
		}
		want := []ReplicaState{{Name: "a", Resting: true}, {Name: "b", Load: Load{Waiting: 7}}}
		if got := s.Replicas(); !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("accepts a wrong signature as one", func(t *testing.T) {
		b.spoil.Store(true)
		a.works()
		for range 4 {
			_, _ = key.Sign(t.Context(), []byte("x")) // told is looked at
		}
		if got := told.taken(); !slices.Contains(got, "b ES256 id_token "+ErrWrongSignature.Error()+" true") {
			t.Errorf("told %q", got)
		}
	})
	t.Run("accepts a trial without a use", func(t *testing.T) {
		b.spoil.Store(false)
		_ = s.Ready(t.Context()) // likewise
		if got := told.taken(); !slices.ContainsFunc(got, func(text string) bool { return text == "a ES256  ok true" || text == "b ES256  ok true" }) {
			t.Errorf("told %q", got)
		}
	})
}

// loaded is an HSM that knows its load.
type loaded struct{ *faultyHSM }

func (loaded) Load() Load { return Load{Waiting: 7} }
