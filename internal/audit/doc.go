// Package audit is the evidence of what was signed: entries in a chain of hashes, checkpoints signed by a key in the HSM,
// and a verifier that names what was deleted, changed, reordered or cut off (FAPI 2.0 Message Signing §7). It is pure: it
// knows no store, no HSM and no clock.
//
// Each node writes a chain of its own, so that nodes never wait for each other. An entry is one line of JSON; it holds
// the hash of the line before it, and the hash is that of the line's bytes, so that nothing must be re-encoded to be
// verified.
//
//	chain := audit.NewChain("node-1")
//	line, err := chain.Append(now, audit.Event{Kind: audit.RequestObject, Message: message, …})
//	line, err = chain.Checkpoint(ctx, now, key)
//	verifier := audit.NewVerifier(audit.Options{Keys: keys, Every: 100})
//	verifier.Add(line) // each line, in order
//	report := verifier.Report()
//
// Entries after the last checkpoint are not sealed yet: an attacker who can write to the store could still change them. What comes
// before a checkpoint, only the holder of the key could change unnoticed.
package audit

import "errors"

// The ways in which this package refuses, matched with errors.Is.
var (
	// ErrMessage is a message that is not a compact JWS of an accepted algorithm: it is no evidence.
	ErrMessage = errors.New("audit: the message is not a signed one")
	// ErrEntry is a line that is no entry.
	ErrEntry = errors.New("audit: the line is not an entry")
)
