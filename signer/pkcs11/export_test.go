package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11/attest"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/internal/worker"
)

// FaultVariable names the fault of a worker of [RunFaultyWorker], and CountVariable a file to which each start adds a
// byte.
const (
	FaultVariable = "TEST_FAULT"
	CountVariable = "TEST_COUNT"
)

// MaxMessage is the longest message that is signed, and MaxSignature the longest signature, in bytes.
const (
	MaxMessage   = wire.MaxMessage
	MaxSignature = wire.MaxSignature
)

// SlowSignature is how long a slow worker takes over a signature.
const SlowSignature = 150 * time.Millisecond

// RunFaultyWorker is a worker with an invented token, for faults that SoftHSM2 does not have. Its signature of a message
// is the message, or its end.
func RunFaultyWorker(fault, count string) int {
	if err := note(count); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	conn, err := net.FileConn(os.NewFile(3, "parent"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = worker.Answer(conn, func(wire.Frame) (worker.Service, error) {
		if fault == "refuses the PIN" {
			return nil, wire.Failf(wire.FailFatal, "the token refuses the PIN")
		}
		return startFaulty(fault, conn)
	})
	if err != nil {
		return 1
	}
	return 0
}

func note(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(".")
	return errors.Join(err, f.Close())
}

// faulty is the invented token, of one session.
type faulty struct {
	fault   string
	conn    io.Writer
	signing net.Conn
}

// startFaulty answers what comes over the socket for signatures, one after the other.
func startFaulty(fault string, conn net.Conn) (*faulty, error) {
	signing, err := net.FileConn(os.NewFile(4, "signing"))
	if err != nil {
		return nil, err
	}
	f := &faulty{fault: fault, conn: conn, signing: signing}
	go func() {
		packet := make([]byte, 2*wire.MaxMessage)
		for {
			size, err := signing.Read(packet)
			if err != nil {
				return
			}
			if err := f.answer(packet[:size]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}()
	return f, nil
}

// answer makes an invented signature.
func (f *faulty) answer(packet []byte) error {
	asked, _, err := wire.ParsePacket(packet)
	if err != nil {
		return err
	}
	answer := wire.Frame{Kind: wire.AnswerGood, Number: asked.Number}
	if answer.Payload, err = f.sign(asked.Payload); err != nil {
		answer.Kind, answer.Payload = wire.AnswerFailed, wire.AsFailure(err).Payload()
	}
	_, err = f.signing.Write(wire.AppendFrame(nil, answer))
	return err
}

func (f *faulty) sign(payload []byte) ([]byte, error) {
	_, _, message, err := wire.ParseUse(payload)
	if err != nil {
		return nil, err
	}
	switch f.fault {
	case "slow":
		time.Sleep(SlowSignature)
	case "crashes":
		panic("the module crashed")
	case "writes rubbish":
		return nil, hangAfter(f.conn.Write(bytes.Repeat([]byte{0xff}, 64)))
	case "signs rubbish":
		return nil, hangAfter(f.signing.Write(bytes.Repeat([]byte{0xff}, 64)))
	case "signs at too great length":
		return nil, hangAfter(f.signing.Write(wire.AppendFrame(nil, wire.Frame{Kind: wire.AnswerGood, Number: 2, Payload: make([]byte, wire.MaxSignature+1)})))
	case "answers what nobody asked":
		return nil, hangAfter(f.signing.Write(wire.AppendFrame(nil, wire.Frame{Kind: wire.AnswerGood, Number: 1 << 40})))
	case "answers in another version":
		answer := wire.AppendFrame(nil, wire.Frame{Kind: wire.AnswerGood, Number: 2})
		answer[4]++
		return nil, hangAfter(f.signing.Write(answer))
	case "refuses":
		return nil, wire.Failf(wire.FailRequest, "the mechanism is not for this key")
	case "is in trouble":
		return nil, wire.Failf(wire.FailModule, "the device is gone")
	}
	return message[max(0, len(message)-wire.MaxSignature):], nil
}

// hangAfter waits after bytes were put on the wire, so that they are what the parent has to act on.
func hangAfter(_ int, err error) error {
	if err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return nil
}

func (f *faulty) Agree(payload []byte) ([]byte, error)  { return f.sign(payload) }
func (f *faulty) Unwrap(payload []byte) ([]byte, error) { return f.sign(payload) }

func (f *faulty) LookFor(string) error                      { return nil }
func (f *faulty) List() ([]wire.Key, error)                 { return nil, nil }
func (f *faulty) Generate(byte) (wire.Key, error)           { return wire.Key{}, nil }
func (f *faulty) Destroy(string) error                      { return nil }
func (f *faulty) Attest(string) (attest.Attestation, error) { return attest.Attestation{}, nil }

// SignInput has a key sign what is no digest.
func SignInput(ctx context.Context, b *Backend, record signer.Record, input []byte) ([]byte, error) {
	return b.use(ctx, wire.AskSign, record, input)
}

// StartWorker starts a worker from the goroutine that calls it. ask has it list the keys, and end ends it.
func StartWorker(ctx context.Context, c Config) (ask func() error, end func(), err error) {
	if c, err = withDefaults(c); err != nil {
		return nil, nil, err
	}
	w, err := startWorker(ctx, c, firstQuestion(c))
	if err != nil {
		return nil, nil, err
	}
	ask = func() error {
		_, err := w.ask(ctx, wire.AskList, nil)
		return err
	}
	return ask, func() { w.kill(errClosed) }, nil
}

// SendToWorker sends a packet to the worker, waits for its end, and tells the reason.
func SendToWorker(t testing.TB, b *Backend, packet []byte) string {
	t.Helper()
	w, err := b.current(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.signing.Write(packet); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the worker lives on")
	}
	return w.died().Error()
}
