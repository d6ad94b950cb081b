package signer

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
)

// task is something to be done with the private half of a key, by whichever HSM can.
type task struct {
	record Record
	// use is what for, empty for a trial.
	use Use
	// ask has a backend do it; askNow does not wait for a connection that is lost, where the backend can say so.
	ask, askNow func(context.Context, Backend) ([]byte, error)
	// check tells what is wrong with the outcome.
	check func(result []byte) error
}

// probeMessage is signed where only the outcome matters. It is no JWS: it has no dots.
const probeMessage = "countersign readiness probe"

// trial is a task for a key whose outcome can be checked.
func trial(record Record) (task, error) {
	switch record.Algorithm {
	case ECDHES:
		return agreementTrial(record)
	case RSAOAEP256, RSAOAEP:
		return unwrappingTrial(record)
	}
	return signing(record, []byte(probeMessage)), nil
}

// Prove has a backend use a key, and checks the outcome with the published half: a signature of its own message, or what
// was encrypted for the purpose. The errors match those of this package.
func Prove(ctx context.Context, backend Backend, record Record) error {
	try, err := trial(record)
	if err != nil {
		return err
	}
	result, err := try.ask(ctx, backend)
	if err != nil {
		return err
	}
	return try.check(result)
}

// Sign has one backend sign, and verifies the signature with the published key before it is given out. The errors match
// those of this package.
func Sign(ctx context.Context, backend Backend, record Record, message []byte) ([]byte, error) {
	work := signing(record, message)
	signature, err := work.ask(ctx, backend)
	if err != nil {
		return nil, err
	}
	return signature, work.check(signature)
}

// signing makes a signature and verifies it with the published key.
func signing(record Record, message []byte) task {
	return task{
		record: record,
		ask:    func(ctx context.Context, b Backend) ([]byte, error) { return b.Sign(ctx, record, message) },
		askNow: func(ctx context.Context, b Backend) ([]byte, error) {
			if quick, ok := b.(Impatient); ok {
				return quick.SignNow(ctx, record, message)
			}
			return b.Sign(ctx, record, message)
		},
		check: func(signature []byte) error {
			if !Verify(record.Public, record.Algorithm, message, signature) {
				return fmt.Errorf("%w %s", ErrWrongSignature, record.ID)
			}
			return nil
		},
	}
}

// decrypting has a [Decrypter] do something.
func decrypting(record Record, ask func(context.Context, Decrypter) ([]byte, error), check func([]byte) error) task {
	able := func(ctx context.Context, b Backend) ([]byte, error) {
		d, ok := b.(Decrypter)
		if !ok {
			return nil, fmt.Errorf("%w %s: this HSM's backend does not decrypt", ErrNoKey, record.ID)
		}
		return ask(ctx, d)
	}
	return task{record: record, ask: able, askNow: able, check: check}
}

func agreement(record Record, peer []byte) task {
	return decrypting(record, func(ctx context.Context, d Decrypter) ([]byte, error) { return d.Agree(ctx, record, peer) },
		func(secret []byte) error {
			if len(secret) != sharedSecretSize {
				return fmt.Errorf("%w: a shared secret of %d bytes from key %s", ErrUnavailable, len(secret), record.ID)
			}
			return nil
		})
}

func unwrapping(record Record, wrapped []byte) task {
	return decrypting(record, func(ctx context.Context, d Decrypter) ([]byte, error) { return d.Unwrap(ctx, record, wrapped) },
		func([]byte) error { return nil })
}

// agreementTrial agrees with a key that is made for it, whose own side of the agreement has to come to the same.
func agreementTrial(record Record) (task, error) {
	public, ok := record.Public.(*ecdsa.PublicKey)
	if !ok {
		return task{}, fmt.Errorf("%w: %s is not an elliptic curve key", ErrNoKey, record.ID)
	}
	theirs, err := public.ECDH()
	if err != nil {
		return task{}, fmt.Errorf("signer: key %s: %w", record.ID, err)
	}
	ours, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return task{}, fmt.Errorf("signer: %w", err)
	}
	want, err := ours.ECDH(theirs)
	if err != nil {
		return task{}, fmt.Errorf("signer: %w", err)
	}
	try := agreement(record, ours.PublicKey().Bytes())
	try.check = same(record, want)
	return try, nil
}

// unwrappingTrial unwraps what was wrapped for it.
func unwrappingTrial(record Record) (task, error) {
	public, ok := record.Public.(*rsa.PublicKey)
	if !ok {
		return task{}, fmt.Errorf("%w: %s is not an RSA key", ErrNoKey, record.ID)
	}
	want := sha256.Sum256([]byte(probeMessage))
	hash := sha256.New()
	if record.Algorithm == RSAOAEP {
		hash = sha1.New()
	}
	wrapped, err := rsa.EncryptOAEP(hash, rand.Reader, public, want[:], nil)
	if err != nil {
		return task{}, fmt.Errorf("signer: %w", err)
	}
	try := unwrapping(record, wrapped)
	try.check = same(record, want[:])
	return try, nil
}

func same(record Record, want []byte) func([]byte) error {
	return func(got []byte) error {
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%w: %s decrypts with another key than the published one", ErrUnavailable, record.ID)
		}
		return nil
	}
}
