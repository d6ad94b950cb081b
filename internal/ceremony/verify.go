package ceremony

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"countersign/internal/config"
	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/store"
)

// errNoAddress is for a key that no configured HSM has.
var errNoAddress = errors.New("no HSM that is configured has one of its addresses")

// Outcome is what verifying one key in one HSM showed.
type Outcome struct {
	Key store.Key
	// Token is empty when no HSM has an address of the key.
	Token string
	// Err is what is wrong, or nil.
	Err error
}

// Verify has every key sign or decrypt in every HSM where it has an address, checks that with the published key, and
// compares the key with the policy.
func (c *Ceremony) Verify(ctx context.Context) ([]Outcome, error) {
	keys, err := c.Keys.Keys(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := hsm.OpenAll(ctx, c.Signer)
	if err != nil {
		return nil, err
	}
	var all []Outcome
	for _, k := range keys {
		outcomes, err := verifyKey(ctx, tokens, k)
		if err != nil {
			return nil, errors.Join(err, tokens.Close())
		}
		all = append(all, outcomes...)
	}
	return all, tokens.Close()
}

func verifyKey(ctx context.Context, tokens hsm.Tokens, k store.Key) ([]Outcome, error) {
	record, err := hsm.Record(k)
	if err != nil {
		return nil, err
	}
	var all []Outcome
	for _, token := range tokens {
		if len(tokens) == 1 || token.Holds(record) {
			all = append(all, Outcome{k, token.Token(), Try(ctx, token, record)})
		}
	}
	if len(all) == 0 {
		all = append(all, Outcome{Key: k, Err: errNoAddress})
	}
	return all, nil
}

// ListedOutcome is an outcome as it is listed, as JSON too.
type ListedOutcome struct {
	KID       string `json:"kid"`
	Algorithm string `json:"alg"`
	State     string `json:"state"`
	HSM       string `json:"hsm,omitempty"`
	OK        bool   `json:"ok"`
	Outcome   string `json:"outcome"`
}

// List describes outcomes, and reports whether all are good.
func List(outcomes []Outcome) (listed []ListedOutcome, good bool) {
	listed, good = make([]ListedOutcome, len(outcomes)), true
	for i, o := range outcomes {
		listed[i] = ListedOutcome{o.Key.ID, o.Key.Algorithm, o.Key.State, o.Token, o.Err == nil, Does(signer.Algorithm(o.Key.Algorithm))}
		if o.Err != nil {
			good, listed[i].Outcome = false, o.Err.Error()
		}
	}
	return listed, good
}

// Does says in a word what a good key does.
func Does(alg signer.Algorithm) string {
	if alg.Decrypts() {
		return "decrypts"
	}
	return "signs"
}

// Try compares one key in one HSM with the policy and has it sign or decrypt.
func Try(ctx context.Context, token hsm.Holder, record signer.Record) error {
	attested, err := token.Attest(ctx, record.ID)
	if err != nil {
		return err
	}
	if attested.Refused != "" {
		return errors.New(attested.Refused)
	}
	return signer.Prove(ctx, token, record)
}

// Attest returns what each HSM says of itself and of a key, by the HSM's name.
func (c *Ceremony) Attest(ctx context.Context, id string) (map[string]pkcs11.Attestation, error) {
	k, _, err := Find(ctx, c.Keys, id)
	if err != nil {
		return nil, err
	}
	tokens, err := hsm.OpenAll(ctx, c.Signer)
	if err != nil {
		return nil, err
	}
	said, problems := map[string]pkcs11.Attestation{}, []error{}
	for _, token := range tokens {
		attested, err := token.Attest(ctx, k.ID)
		switch {
		case err == nil:
			said[token.Token()] = attested
		case !errors.Is(err, signer.ErrNoKey):
			problems = append(problems, fmt.Errorf("%s: %w", token.Token(), err))
		}
	}
	if err := tokens.Close(); err != nil {
		return nil, err
	}
	switch {
	case len(said) > 0: // one that is unreachable has nothing to say
		return said, nil
	case len(problems) > 0:
		return nil, errors.Join(problems...)
	}
	return nil, fmt.Errorf("no HSM that is configured holds the key %s", k.ID)
}

// ImportReplica has a key used from one more HSM, to which the vendor's tool has copied it. token is the label or the RFC
// 7512 address that the configuration has. The copy has to fit the policy and to sign first.
func (c *Ceremony) ImportReplica(ctx context.Context, id, token string) error {
	if err := c.check(0); err != nil {
		return err
	}
	at := slices.IndexFunc(hsm.Settings(c.Signer), func(t config.Replica) bool {
		return t.Token == token || hsm.Address(t.Token) == token
	})
	if at < 0 {
		return fmt.Errorf("the token %q is not in the configuration; name it under [[signer.replicas]]", token)
	}
	k, _, err := Find(ctx, c.Keys, id)
	if err != nil {
		return err
	}
	holder, err := hsm.Open(ctx, c.Signer, hsm.Settings(c.Signer)[at], nil)
	if err != nil {
		return err
	}
	return errors.Join(c.addReplica(ctx, holder, k), holder.Close())
}

func (c *Ceremony) addReplica(ctx context.Context, holder hsm.Holder, k store.Key) error {
	record, err := hsm.Record(k)
	if err != nil {
		return err
	}
	if err := Try(ctx, holder, record); err != nil {
		return err
	}
	address, err := holder.Address(k.ID)
	if err != nil {
		return err
	}
	if holder.Holds(record) {
		return fmt.Errorf("the key %s has an address on this token already; countersign keys show %[1]s", k.ID)
	}
	if c.DryRun {
		c.Report(Event{Step: WouldAddAddress, Key: k, Address: address})
		return nil
	}
	from := k.URIs
	k.URIs = append(slices.Clone(from), address)
	err = c.Keys.SetKeyURIs(ctx, k.ID, from, k.URIs)
	if errors.Is(err, store.ErrConflict) {
		return changedMeanwhile(k)
	}
	if err != nil {
		return err
	}
	c.Report(Event{Step: ReplicaAdded, Key: k, Token: holder.Token()})
	return c.write(ctx, "keys import-replica", holder, k, k.State, k.State)
}
