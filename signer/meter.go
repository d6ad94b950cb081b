package signer

import (
	"context"
	"time"
)

// Usage is one use of a key in one HSM.
type Usage struct {
	// Replica is [Replica.Name].
	Replica   string
	Algorithm Algorithm
	// Use is what was signed or decrypted; empty for a trial, by which it is found out whether an HSM works.
	Use Use
	// Took is the time from asking for it to having it, with what it waited for its turn.
	Took time.Duration
	// Err is how it ended. Another HSM may have succeeded in its place.
	Err error
}

// Meter is told of each use of a key. It must not block, and is called from any goroutine.
type Meter interface {
	Used(ctx context.Context, usage Usage)
}

// Load is what an HSM has to do at a moment.
type Load struct {
	// Using is how many uses of keys are under way, and Waiting how many wait for their turn.
	Using, Waiting int
	// Expected is how long a use that is asked for now would take, as far as is known.
	Expected time.Duration
	// Refused counts those that would have come too late, or whose caller left.
	Refused uint64
	// Started counts how often the process that holds the HSM's module was started.
	Started uint64
}

// Loaded is a [Backend] that knows its load.
type Loaded interface {
	// Load returns at once.
	Load() Load
}

// ReplicaState is what is known of an HSM without asking it.
type ReplicaState struct {
	// Name is [Replica.Name].
	Name string
	// Resting reports that it is left alone because it failed, and probed until it works again.
	Resting bool
	// Load is that of its backend; the zero value, but for Using, where the backend does not know it.
	Load Load
}

// Replicas returns what is known of each HSM, in the order of the configuration. It asks none.
func (s *Signer) Replicas() []ReplicaState {
	states := make([]ReplicaState, len(s.replicas.all))
	for i, one := range s.replicas.all {
		states[i] = ReplicaState{Name: one.Name, Load: Load{Using: int(one.busy.Load())}}
		if known, ok := one.Backend.(Loaded); ok {
			states[i].Load = known.Load()
		}
		one.mu.Lock()
		states[i].Resting = one.failures >= breakAfter
		one.mu.Unlock()
	}
	return states
}
