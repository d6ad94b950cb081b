// Package ceremony changes signing keys the way that operators answer for: each change can be tried first, names who
// makes it, and leaves a transcript that a key in the HSM has signed.
//
// The life of a key is published, active, retiring, destroyed. It is published before its first signature, so that every
// verifier that keeps a copy of the key set knows it, and stays published while tokens that it signed may be valid.
// [Scheduler] takes the same steps by itself.
package ceremony

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/internal/config"
	"countersign/internal/console"
	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/store"
)

// Ceremony is what every change of a key needs. Errors are for the operator, and name the flag that mends them.
type Ceremony struct {
	Keys store.Keys
	// Clients are asked which of them need an algorithm whose last key retires.
	Clients interface {
		Clients(ctx context.Context) ([]store.Client, error)
	}
	// AccessTokens is the algorithm that signs access tokens.
	AccessTokens signer.Algorithm
	// Signer is where the keys are.
	Signer   config.Signer
	Schedule signer.Schedule
	Now      func() time.Time
	// Report is called with each step as soon as it is done.
	Report func(Event)

	// DryRun reports what would be done and changes nothing.
	DryRun bool
	// Operators are the people who make the change.
	Operators []string
	// Transcript names a new file, or is empty.
	Transcript string
	// Program is the version that the transcript names.
	Program string
}

// Step says what an [Event] is about.
type Step int

// The steps. Those that begin with Would are reported by a dry run.
const (
	WouldGenerate   Step = iota // a key with Key's algorithm, uses and state
	WouldActivate               // Key
	WouldRetire                 // Key
	WouldDestroy                // Key
	WouldAddAddress             // Address to Key
	WouldPublish                // a key that follows Other, Wait before it signs
	WouldReplace                // Other by a new key, at once
	WouldWait                   // Wait, until verifiers know Key
	WouldSwitch                 // from Other to Key

	Generated         // Key
	Pending           // Key may be activated after Wait
	Waiting           // for Wait, until verifiers know Key
	Activated         // Key
	Retired           // Key
	KnownWithin       // Wait, in which verifiers learn Key
	DestroyedIn       // Key, in Token
	Destroyed         // Key
	ReplicaAdded      // Key is used from Token too
	TranscriptWritten // into File

	// What ends when the last key of an algorithm retires, also reported by a dry run.
	Loses    // what Key's algorithm is for no more: Uses
	Unsealed // the audit log, by any key
	Unpushed // browsers
	Needed   // Key's algorithm, by the client of Need
)

// Event is a step that was taken, or that a dry run would take.
type Event struct {
	Step       Step
	Key, Other store.Key
	Token      string
	Address    string
	File       string
	Wait       time.Duration
	Uses       []string
	Need       Need
}

// String tells the operator of the step, in one line.
func (e Event) String() string {
	k, wait := e.Key, e.Wait.Round(time.Second)
	switch e.Step {
	case WouldGenerate:
		return fmt.Sprintf("would make a %s key for %s, at once %s", k.Algorithm, strings.Join(k.Uses, ", "), k.State)
	case WouldActivate:
		return fmt.Sprintf("would sign with %s from now on", k.ID)
	case WouldRetire:
		return fmt.Sprintf("would sign with %s no more", k.ID)
	case WouldDestroy:
		return fmt.Sprintf("would destroy the %s key %s, which is %s", k.Algorithm, k.ID, k.State)
	case WouldAddAddress:
		return fmt.Sprintf("would add the address %s to the key %s", e.Address, k.ID)
	case WouldPublish:
		return fmt.Sprintf("would make a %s key and publish it; it signs in %s, instead of %s", k.Algorithm, wait, e.Other.ID)
	case WouldReplace:
		return fmt.Sprintf("would make a %s key, sign with it at once, and retire %s", k.Algorithm, e.Other.ID)
	case WouldWait:
		return fmt.Sprintf("would wait %s: until then verifiers may not know %s", wait, k.ID)
	case WouldSwitch:
		return fmt.Sprintf("would sign with %s and retire %s", k.ID, e.Other.ID)
	case Generated:
		return fmt.Sprintf("made the %s key %s, now %s", k.Algorithm, k.ID, k.State)
	case Pending:
		return fmt.Sprintf("it may sign in %s: run this command again then", wait)
	case Waiting:
		return fmt.Sprintf("waiting %s until every verifier knows it", wait)
	case Activated:
		return fmt.Sprintf("the key %s is active", k.ID)
	case Retired:
		return fmt.Sprintf("the key %s is retiring: it signs no more and stays published", k.ID)
	case KnownWithin:
		return fmt.Sprintf("verifiers that keep a copy of the key set learn the new key within %s", wait)
	case DestroyedIn:
		return fmt.Sprintf("the key %s is destroyed in %s", k.ID, e.Token)
	case Destroyed:
		return fmt.Sprintf("the key %s is destroyed", k.ID)
	case ReplicaAdded:
		return fmt.Sprintf("the key %s is used from %s as well", k.ID, e.Token)
	case TranscriptWritten:
		return fmt.Sprintf("the transcript is in %s", e.File)
	case Loses:
		return fmt.Sprintf("without the key %s none is left for %s: %s", k.ID, k.Algorithm, strings.Join(e.Uses, ", "))
	case Unsealed:
		return "no key of any algorithm is left to seal the audit log: run countersign keys generate --alg ES256 --use evidence --activate"
	case Unpushed:
		return "browsers are notified of nothing (web push) until there is another ES256 key for it"
	case Needed:
		return fmt.Sprintf("the client %s needs it (%s): what it asks for is answered 503 until it registers another algorithm", e.Need.ClientID, e.Need.Member)
	}
	return ""
}

// ScheduleOf is the configured schedule.
func ScheduleOf(c *config.Config) signer.Schedule {
	return signer.Schedule{
		TokenLifetime: max(c.Tokens.AccessTokenLifetime.Std(), c.Tokens.IDTokenLifetime.Std()),
		Every:         c.Signer.RotateEvery.Std(),
	}
}

// Uses are what a key of an algorithm may be for, and is for by default.
func Uses(alg string) []string {
	if signer.Algorithm(alg).Decrypts() {
		return []string{string(signer.UseRequestObject)}
	}
	uses := []string{
		string(signer.UseAccessToken), string(signer.UseIDToken), string(signer.UseResponse), string(signer.UseIntrospection),
		string(signer.UseHTTPMessage), string(signer.UseEvidence), string(signer.UseLogin),
	}
	if signer.Algorithm(alg) == signer.ES256 {
		uses = append(uses, string(signer.UsePush))
	}
	return uses
}

// Find returns the key with a kid, or with the only kid that begins with id, and all keys beside it.
func Find(ctx context.Context, s store.Keys, id string) (store.Key, []store.Key, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return store.Key{}, nil, err
	}
	var found []store.Key
	for _, k := range keys {
		if k.ID == id {
			return k, keys, nil
		}
		if id != "" && strings.HasPrefix(k.ID, id) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], keys, nil
	case 0:
		return store.Key{}, nil, fmt.Errorf("there is no key %q; countersign keys list shows those that exist", id)
	}
	return store.Key{}, nil, fmt.Errorf("%s begin with %q; write more of the kid", console.Count(len(found), "key"), id)
}

// Generate makes a key for some uses, all of the algorithm's when none is given. Only the first key of an algorithm and use
// can be activated at once: verifiers have to learn any other first.
func (c *Ceremony) Generate(ctx context.Context, alg string, uses []string, activate bool) error {
	if err := c.check(0); err != nil {
		return err
	}
	if len(uses) == 0 {
		uses = Uses(alg)
	}
	for _, use := range uses {
		if !slices.Contains(Uses(alg), use) {
			return fmt.Errorf("--use: a key for %s is not for %s but for %s", alg, use, strings.Join(Uses(alg), ", "))
		}
	}
	planned := store.Key{Algorithm: alg, Uses: uses, State: string(signer.Published)}
	if activate {
		planned.State = string(signer.Active)
		if err := c.first(ctx, planned); err != nil {
			return err
		}
	}
	if c.DryRun {
		c.Report(Event{Step: WouldGenerate, Key: planned})
		return nil
	}
	holder, err := hsm.OpenFirst(ctx, c.Signer, nil)
	if err != nil {
		return err
	}
	return errors.Join(c.generate(ctx, holder, planned), holder.Close())
}

// first refuses to activate a key beside an active one.
func (c *Ceremony) first(ctx context.Context, planned store.Key) error {
	keys, err := c.Keys.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.State == string(signer.Active) && k.Algorithm == planned.Algorithm && shareUse(k.Uses, planned.Uses) {
			return fmt.Errorf("there is an active %s key, and verifiers have to learn the new one first: leave out --activate, and run countersign keys activate in %s",
				k.Algorithm, signer.KnownAfter)
		}
	}
	return nil
}

func (c *Ceremony) generate(ctx context.Context, holder hsm.Holder, planned store.Key) error {
	made, err := Generate(ctx, c.Keys, holder, planned, c.Now)
	if err != nil {
		return err
	}
	c.Report(Event{Step: Generated, Key: made})
	return c.write(ctx, "keys generate", holder, made, "", made.State)
}

// Generate makes a key in the HSM and records it. planned holds its algorithm, uses and state, which is published or
// active.
func Generate(ctx context.Context, s store.Keys, holder hsm.Holder, planned store.Key, now func() time.Time) (store.Key, error) {
	made, err := hsm.Generate(ctx, holder, planned.Algorithm)
	if err != nil {
		return store.Key{}, err
	}
	made.Uses, made.State, made.CreatedAt = planned.Uses, planned.State, now() // making it took time
	if made.State == string(signer.Active) {
		made.ActivatedAt = made.CreatedAt
	}
	return made, s.AddKey(ctx, made)
}

// Activate signs with a published key from now on; with now, even when verifiers may not know it yet.
func (c *Ceremony) Activate(ctx context.Context, id string, now bool) error {
	if err := c.check(0); err != nil {
		return err
	}
	k, _, err := Find(ctx, c.Keys, id)
	if err != nil {
		return err
	}
	if k.State != string(signer.Published) {
		return fmt.Errorf("the key %s is %s; only a published key can be activated", k.ID, k.State)
	}
	if wait := c.unknownFor(k); wait > 0 && !now {
		return fmt.Errorf("the key %s is not known to every verifier yet: wait %s, or give --now", k.ID, wait.Round(time.Second))
	}
	if c.DryRun {
		c.Report(Event{Step: WouldActivate, Key: k})
		return nil
	}
	if err := c.move(ctx, k, signer.Active); err != nil {
		return err
	}
	c.Report(Event{Step: Activated, Key: k})
	return c.record(ctx, "keys activate", k, signer.Active)
}

// Retire stops signing with an active key. It stays published. The last of its algorithm for one of its uses retires only with
// last, after what ends with it was reported: so a server moves to an HSM that does not have the algorithm.
func (c *Ceremony) Retire(ctx context.Context, id string, last bool) error {
	if err := c.check(0); err != nil {
		return err
	}
	k, keys, err := Find(ctx, c.Keys, id)
	if err != nil {
		return err
	}
	if k.State != string(signer.Active) {
		return fmt.Errorf("the key %s is %s; only an active key can be retired", k.ID, k.State)
	}
	if lost := lostWith(k, keys); len(lost) > 0 {
		if !last {
			return fmt.Errorf("%w, or give --last to do without (--dry-run shows what ends with it)", lastActive(k, lost[0]))
		}
		if err := c.parting(ctx, k, keys, lost); err != nil {
			return err
		}
	}
	if c.DryRun {
		c.Report(Event{Step: WouldRetire, Key: k})
		return nil
	}
	if err := c.move(ctx, k, signer.Retiring); err != nil {
		return err
	}
	c.Report(Event{Step: Retired, Key: k})
	return c.record(ctx, "keys retire", k, signer.Retiring)
}

// check refuses fewer operators than least, operators without a name, and a transcript that exists.
func (c *Ceremony) check(least int) error {
	var names []string
	for _, name := range c.Operators {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			return errors.New("--operator: a name is empty")
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) < least {
		return fmt.Errorf("this needs two people: give --operator twice, with different names (found %s)", console.Count(len(names), "name"))
	}
	if c.Transcript == "" {
		return nil
	}
	if _, err := os.Lstat(c.Transcript); err == nil {
		return fmt.Errorf("--transcript: %s exists; a transcript is never written over", c.Transcript)
	}
	return nil
}

// unknownFor is for how long verifiers may not know a published key yet; not positive when all do.
func (c *Ceremony) unknownFor(k store.Key) time.Duration {
	return signer.Schedule{}.ActivatableAt(signer.Record{CreatedAt: k.CreatedAt}).Sub(c.Now())
}

func (c *Ceremony) move(ctx context.Context, k store.Key, to signer.State) error {
	err := c.Keys.MoveKey(ctx, k.ID, k.State, string(to), c.Now())
	if errors.Is(err, store.ErrConflict) {
		return changedMeanwhile(k)
	}
	return err
}

func changedMeanwhile(k store.Key) error {
	return fmt.Errorf("the key %s was changed by somebody else at the same moment; look at it and try again", k.ID)
}

func lastActive(k store.Key, use string) error {
	return fmt.Errorf("the key %s is the last active %s key for %s: activate another first", k.ID, k.Algorithm, use)
}

// shareUse reports whether two keys are for the same thing.
func shareUse(a, b []string) bool {
	return slices.ContainsFunc(a, func(use string) bool { return slices.Contains(b, use) })
}
