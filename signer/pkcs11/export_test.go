package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// FaultVariable names the fault of a worker of [RunFaultyWorker], and CountVariable a file to which each start adds a
// byte.
const (
	FaultVariable = "TEST_FAULT"
	CountVariable = "TEST_COUNT"
)

// MaxMessage is the longest message that is signed, in bytes.
const MaxMessage = maxMessage

// SlowSignature is how long a slow worker takes over a signature.
const SlowSignature = 150 * time.Millisecond

// RunFaultyWorker is a worker with an invented token, for faults that SoftHSM2 does not have. Its signature of a message
// is the message.
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
	err = answerAll(conn, func(frame) (service, error) {
		if fault == "refuses the PIN" {
			return nil, failf(failFatal, "the token refuses the PIN")
		}
		return &faulty{fault: fault, conn: conn, session: make(chan struct{}, 1)}, nil
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
	session chan struct{}
}

func (f *faulty) sign(payload []byte) ([]byte, error) {
	_, _, message, err := parseUse(payload)
	if err != nil {
		return nil, err
	}
	f.session <- struct{}{}
	defer func() { <-f.session }()
	switch f.fault {
	case "slow":
		time.Sleep(SlowSignature)
	case "crashes":
		panic("the module crashed")
	case "writes rubbish":
		return nil, f.write(bytes.Repeat([]byte{0xff}, 64))
	case "answers what nobody asked":
		return nil, f.write(appendFrame(nil, frame{kind: answerGood, number: 1 << 40}))
	case "answers in another version":
		answer := appendFrame(nil, frame{kind: answerGood, number: 2})
		answer[4]++
		return nil, f.write(answer)
	case "refuses":
		return nil, failf(failRequest, "the mechanism is not for this key")
	case "is in trouble":
		return nil, failf(failModule, "the device is gone")
	}
	return message, nil
}

// write puts bytes on the wire and then hangs, so that they are what the parent has to act on.
func (f *faulty) write(raw []byte) error {
	if _, err := f.conn.Write(raw); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return nil
}

func (f *faulty) agree(payload []byte) ([]byte, error)  { return f.sign(payload) }
func (f *faulty) unwrap(payload []byte) ([]byte, error) { return f.sign(payload) }

func (f *faulty) list() ([]key, error)               { return nil, nil }
func (f *faulty) generate(byte) (key, error)         { return key{}, nil }
func (f *faulty) destroy(string) error               { return nil }
func (f *faulty) attest(string) (Attestation, error) { return Attestation{}, nil }
