package store

import "context"

// Examined are the verbs of who looks and leaves no trace: what other verbs take or make, these only read.
type Examined interface {
	// OneTimeUsed reports whether a one-time value is remembered as consumed: whether [OneTimes].ConsumeOneTime would answer ErrReplayed.
	// It consumes nothing. A value whose Until is over may be forgotten.
	OneTimeUsed(ctx context.Context, value OneTime) (bool, error)
	// KnownSeed returns the value stored under a name, as Seed does; ErrNotFound when there is none.
	KnownSeed(ctx context.Context, name string) ([]byte, error)
}
