package ciba

import (
	"sync"
	"testing"
	"testing/synctest"
)

// Covers: FD-78. Pings of one owner, whose endpoints are slow, leave places to others; quick ones wait for each other.
func TestFD78PingsOfOneOwner(t *testing.T) {
	filled := func(t *testing.T) *Notifier {
		t.Helper()
		n := &Notifier{}
		for range perOwner {
			if !n.beginSoon("slow") {
				t.Fatal("no place")
			}
		}
		return n
	}
	for name, check := range map[string]func(*testing.T, *Notifier){
		"refuses one more of the owner, after a while": func(t *testing.T, n *Notifier) {
			if n.beginSoon("slow") {
				t.Error("begun")
			}
		},
		"accepts another owner at once": func(t *testing.T, n *Notifier) {
			if !n.begin("quick") {
				t.Error("not begun")
			}
			n.end("quick")
		},
		"accepts one that waits until another is done": func(t *testing.T, n *Notifier) {
			var waiting sync.WaitGroup
			waiting.Go(func() {
				if !n.beginSoon("slow") {
					t.Error("not begun")
				}
			})
			synctest.Wait()
			n.end("slow")
			waiting.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := filled(t)
				check(t, n)
				for range perOwner {
					n.end("slow")
				}
				if left := n.shares.Receivers(); left != 0 {
					t.Errorf("%d are left over", left)
				}
			})
		})
	}
}
