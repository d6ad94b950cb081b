package ciba

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func sealer(t *testing.T, keys ...string) *Sealer {
	t.Helper()
	s, err := NewSealer([]byte(strings.Join(keys, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSeal: what was closed opens again, with the same key and for the same request only, and shows nothing of itself.
func TestSeal(t *testing.T) {
	first, second := NewSealKey(), NewSealKey()
	old, rotated, fresh := sealer(t, first), sealer(t, second, first), sealer(t, second)
	request, other := [32]byte{1}, [32]byte{2}
	told := Notification{AuthReqID: "the-auth-req-id", Token: "the-token"}
	closed, err := old.Seal(request, told)
	if err != nil {
		t.Fatal(err)
	}
	again, err := old.Seal(request, told)
	if err != nil || bytes.Equal(closed, again) || bytes.Contains(closed, []byte("the-")) {
		t.Errorf("closed to %x, then to %x, %v", closed, again, err)
	}
	for name, s := range map[string]*Sealer{"the key": old, "the key below a new one": rotated} {
		if got, err := s.Open(request, closed); err != nil || got != told {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	changed := bytes.Clone(closed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() (Notification, error){
		"another key":     func() (Notification, error) { return fresh.Open(request, closed) },
		"another request": func() (Notification, error) { return old.Open(other, closed) },
		"a change":        func() (Notification, error) { return old.Open(request, changed) },
		"a cut":           func() (Notification, error) { return old.Open(request, closed[:10]) },
		"nothing":         func() (Notification, error) { return old.Open(request, nil) },
	} {
		if got, err := open(); !errors.Is(err, ErrSealed) || got != (Notification{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if sealed, err := rotated.Seal(request, told); err != nil {
		t.Error(err)
	} else if _, err := fresh.Open(request, sealed); err != nil {
		t.Errorf("the first key does not seal: %v", err)
	}
}

func TestSealKeys(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "words": "hunter2", "a short key": NewSealKey()[:40], "padding": NewSealKey() + "=", "a good and a bad one": NewSealKey() + "\nhunter2"} {
		_, err := NewSealer([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
