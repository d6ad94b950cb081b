package pkcs11

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// service is a module with its token, as the worker's loop sees it.
type service interface {
	// lookFor finds a key that other processes may have made.
	lookFor(kid string) error
	agree(payload []byte) ([]byte, error)
	unwrap(payload []byte) ([]byte, error)
	list() ([]key, error)
	generate(number byte) (key, error)
	destroy(kid string) error
	attest(kid string) (Attestation, error)
}

// signingSocket is the file of the worker over which requests to sign come.
const signingSocket = 4

// RunWorker is the child process: it answers the frames of file 3, and of file 4 those that ask for signatures, until the
// parent is gone, and returns the exit code. A binary calls it when its first argument is [WorkerCommand].
func RunWorker() int {
	harden()
	file := os.NewFile(3, "parent")
	conn, err := net.FileConn(file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is started by countersign itself and not by hand\n", WorkerCommand)
		return 2
	}
	file.Close()
	syscall.CloseOnExec(signingSocket) // a module may start processes
	if err := answerAll(conn, serve); err != nil {
		return 1
	}
	return 0
}

// answerAll serves one parent. The first frame opens the module; what comes after is done side by side.
func answerAll(conn net.Conn, serve func(first frame) (service, error)) error {
	replies := &replies{w: conn}
	r := bufio.NewReader(conn)
	first, err := readFrame(r)
	if err != nil {
		return err
	}
	served, err := serve(first)
	if err != nil {
		return replies.failed(first.number, err)
	}
	if err := replies.good(first.number, nil); err != nil || served == nil {
		return err
	}
	for {
		f, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			return nil // the parent is gone
		}
		if err != nil {
			return err
		}
		go func() {
			if err := replies.answer(served, f); err != nil {
				// The module is in trouble, or nobody listens: the parent starts another worker.
				os.Exit(1)
			}
		}()
	}
}

// replies writes answers, one at a time.
type replies struct {
	mu     sync.Mutex
	w      io.Writer
	buffer []byte
}

// answer puts one question to the service. An error means that the worker has to end.
func (r *replies) answer(served service, f frame) error {
	result, err := dispatch(served, f)
	if err != nil {
		return r.failed(f.number, err)
	}
	return r.good(f.number, result)
}

func dispatch(served service, f frame) ([]byte, error) {
	switch f.kind {
	case askKey:
		return nil, served.lookFor(string(f.payload))
	case askAgree:
		return served.agree(f.payload)
	case askUnwrap:
		return served.unwrap(f.payload)
	case askList:
		return marshalled(served.list())
	case askGenerate:
		if len(f.payload) != 1 {
			return nil, failf(failRequest, "a request to generate holds one byte")
		}
		return marshalled(served.generate(f.payload[0]))
	case askAttest:
		return marshalled(served.attest(string(f.payload)))
	case askDestroy:
		return nil, served.destroy(string(f.payload))
	}
	return nil, failf(failRequest, "question %d is not known", f.kind)
}

func marshalled[T any](value T, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (r *replies) good(number uint64, payload []byte) error {
	return r.write(frame{kind: answerGood, number: number, payload: payload})
}

// failed answers with a failure and returns it when the worker should end.
func (r *replies) failed(number uint64, err error) error {
	f := asFailure(err)
	if err := r.write(frame{kind: answerFailed, number: number, payload: f.payload()}); err != nil {
		return err
	}
	if f.code == failModule || f.code == failFatal {
		return f
	}
	return nil
}

func (r *replies) write(f frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buffer = appendFrame(r.buffer[:0], f)
	_, err := r.w.Write(r.buffer)
	return err
}
