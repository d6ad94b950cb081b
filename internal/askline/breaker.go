package askline

import (
	"sync"
	"time"
)

const (
	// threshold is how many questions in a row have to be without an answer until the source is left alone.
	threshold = 5
	// firstPause is for how long at first; it doubles up to longestPause while the source stays silent.
	firstPause   = 2 * time.Second
	longestPause = 30 * time.Second
	// probeWait is what others are told to wait while one question tries whether the source answers again.
	probeWait = time.Second
)

// outcome is what a question says about the source.
type outcome int

const (
	// unknown is a question that was not sent, or that nobody waited for.
	unknown outcome = iota
	answered
	silent
)

// breaker leaves a source alone that does not answer: it is not asked for a while, and then by one question at a time until
// that is answered.
type breaker struct {
	now func() time.Time

	mu sync.Mutex
	// failures counts questions in a row without an answer.
	failures int
	// pause is how long the source is left alone, until until; both are zero while it answers.
	pause time.Duration
	until time.Time
	// probing: one question tries.
	probing bool
}

// wait returns how long not to ask; 0 when a question may be asked.
func (b *breaker) wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left()
}

// left is wait. The caller holds the mutex.
func (b *breaker) left() time.Duration {
	if b.until.IsZero() {
		return 0
	}
	if left := b.until.Sub(b.now()); left > 0 && left <= b.pause { // or else the clock was set back
		return left
	}
	if b.probing {
		return probeWait
	}
	return 0
}

// begin is wait for a question that is now asked; it reports whether that is the one that tries. Each that was begun is ended.
func (b *breaker) begin() (probe bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.left(); wait > 0 {
		return false, wait
	}
	b.probing = !b.until.IsZero()
	return b.probing, 0
}

// end says how a question ended. paused is for how long the source is left alone because of it, recovered reports that it is
// no longer.
func (b *breaker) end(probe bool, how outcome) (paused time.Duration, recovered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch how {
	case answered:
		recovered = !b.until.IsZero()
		b.failures, b.pause, b.until = 0, 0, time.Time{}
	case silent:
		b.failures++
		if probe || b.until.IsZero() && b.failures >= threshold { // others began before it was left alone
			b.pause = min(max(2*b.pause, firstPause), longestPause)
			b.until = b.now().Add(b.pause)
			paused = b.pause
		}
	}
	return paused, recovered
}
