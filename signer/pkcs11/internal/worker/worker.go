// Package worker is the child process that holds a PKCS#11 module: it answers its parent's questions over two inherited
// sockets. Requests to sign are answered by threads of C; see package token.
package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"countersign/signer/pkcs11/attest"
	"countersign/signer/pkcs11/internal/wire"
)

// Command is the argument with which a binary has to call [Run].
const Command = "pkcs11-worker"

// Service is a module with its token, as the worker's loop sees it.
type Service interface {
	// LookFor finds a key that other processes may have made.
	LookFor(kid string) error
	Agree(payload []byte) ([]byte, error)
	Unwrap(payload []byte) ([]byte, error)
	List() ([]wire.Key, error)
	Generate(number byte) (wire.Key, error)
	Destroy(kid string) error
	Attest(kid string) (attest.Attestation, error)
}

// signingSocket is the file of the worker over which requests to sign come.
const signingSocket = 4

// Run is the child process: it answers the frames of file 3, and of file 4 those that ask for signatures, until the
// parent is gone, and returns the exit code. A binary calls it when its first argument is [Command].
func Run() int {
	Harden()
	file := os.NewFile(3, "parent")
	conn, err := net.FileConn(file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is started by countersign itself and not by hand\n", Command)
		return 2
	}
	file.Close()
	syscall.CloseOnExec(signingSocket) // a module may start processes
	if err := Answer(conn, serve); err != nil {
		return 1
	}
	return 0
}

// Answer serves one parent. The first frame opens the module; what comes after is done side by side. A worker whose parent
// is gone while the module opens ends this process: the module may never return, and the worker has a login.
func Answer(conn net.Conn, serve func(first wire.Frame) (Service, error)) error {
	replies := &replies{w: conn}
	r := bufio.NewReader(conn)
	first, err := wire.ReadFrame(r)
	if err != nil {
		return err
	}
	var opened atomic.Bool
	frames, ended := make(chan wire.Frame), make(chan error, 1)
	go func() {
		for {
			f, err := wire.ReadFrame(r)
			if err != nil && !opened.Load() {
				os.Exit(1) // the parent is gone
			}
			if err != nil {
				ended <- err
				return
			}
			frames <- f
		}
	}()
	served, err := serve(first)
	opened.Store(true)
	if err != nil {
		return replies.failed(first.Number, err)
	}
	var hello []byte
	if told, ok := served.(interface{ Signing() int }); ok {
		if hello, err = json.Marshal(wire.Opened{Sessions: told.Signing()}); err != nil {
			return err
		}
	}
	if err := replies.good(first.Number, hello); err != nil || served == nil {
		return err
	}
	for {
		select {
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil // the parent is gone
			}
			return err
		case f := <-frames:
			go func() {
				if err := replies.answer(served, f); err != nil {
					// The module is in trouble, or nobody listens: the parent starts another worker.
					os.Exit(1)
				}
			}()
		}
	}
}

// replies writes answers, one at a time.
type replies struct {
	mu     sync.Mutex
	w      io.Writer
	buffer []byte
}

// answer puts one question to the service. An error means that the worker has to end.
func (r *replies) answer(served Service, f wire.Frame) error {
	result, err := dispatch(served, f)
	if err != nil {
		return r.failed(f.Number, err)
	}
	return r.good(f.Number, result)
}

func dispatch(served Service, f wire.Frame) ([]byte, error) {
	switch f.Kind {
	case wire.AskKey:
		return nil, served.LookFor(string(f.Payload))
	case wire.AskAgree:
		return served.Agree(f.Payload)
	case wire.AskUnwrap:
		return served.Unwrap(f.Payload)
	case wire.AskList:
		return marshalled(served.List())
	case wire.AskGenerate:
		if len(f.Payload) != 1 {
			return nil, wire.Failf(wire.FailRequest, "a request to generate holds one byte")
		}
		return marshalled(served.Generate(f.Payload[0]))
	case wire.AskAttest:
		return marshalled(served.Attest(string(f.Payload)))
	case wire.AskDestroy:
		return nil, served.Destroy(string(f.Payload))
	}
	return nil, wire.Failf(wire.FailRequest, "question %d is not known", f.Kind)
}

func marshalled[T any](value T, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (r *replies) good(number uint64, payload []byte) error {
	return r.write(wire.Frame{Kind: wire.AnswerGood, Number: number, Payload: payload})
}

// failed answers with a failure and returns it when the worker should end.
func (r *replies) failed(number uint64, err error) error {
	f := wire.AsFailure(err)
	if err := r.write(wire.Frame{Kind: wire.AnswerFailed, Number: number, Payload: f.Payload()}); err != nil {
		return err
	}
	if f.Code == wire.FailModule || f.Code == wire.FailFatal || f.Code == wire.FailHeld {
		return f
	}
	return nil
}

func (r *replies) write(f wire.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buffer = wire.AppendFrame(r.buffer[:0], f)
	_, err := r.w.Write(r.buffer)
	return err
}
