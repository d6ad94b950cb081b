package pkcs11

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"countersign/signer"
)

// WorkerCommand is the argument with which a binary has to call [RunWorker].
const WorkerCommand = "pkcs11-worker"

// startTimeout is how long a worker may take to load its module and log in.
const startTimeout = 15 * time.Second

// errWorkerDied: the process that was to answer is gone.
var errWorkerDied = fmt.Errorf("%w: its worker process died", signer.ErrUnavailable)

// worker is a living child process and the questions put to it.
type worker struct {
	config  Config
	command *exec.Cmd
	conn    net.Conn
	stderr  *boundedBuffer

	// gone is closed when the worker can answer no more; reason says why.
	gone   chan struct{}
	reason error

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]question
	buffer  []byte
}

// question is one that waits for its answer.
type question struct {
	answer chan frame
	// due is when a worker that has not answered counts as hung.
	due time.Time
}

// patience is how long a worker may take over a question.
func patience(what kind, signTimeout time.Duration) time.Duration {
	if what == askSign || what == askList {
		return signTimeout
	}
	return time.Minute // to make an RSA key takes its time
}

// startWorker launches a worker and has it log in.
func startWorker(config Config, h hello) (*worker, error) {
	w, err := launchWorker(config)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if _, err := w.ask(ctx, askHello, payload); err != nil {
		w.kill(err)
		return nil, err
	}
	go w.watch()
	return w, nil
}

// launchWorker starts the child process with one end of a socket as its file 3.
func launchWorker(config Config) (*worker, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: make a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "parent")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: make a socket: %w", err)
	}
	w := &worker{
		config: config, conn: conn, stderr: &boundedBuffer{most: 4096},
		gone: make(chan struct{}), waiting: map[uint64]question{},
	}
	w.command = exec.Command(config.Executable, WorkerCommand)
	w.command.Env = environment(config.Environment)
	w.command.ExtraFiles = []*os.File{theirs}
	w.command.Stderr = w.stderr
	if err := w.command.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("pkcs11: start the worker: %w", err)
	}
	go w.read()
	return w, nil
}

func environment(values map[string]string) []string {
	list := []string{} // not nil: the worker inherits nothing
	for name, value := range values {
		list = append(list, name+"="+value)
	}
	return list
}

// ask puts a question and waits for the answer, no longer than ctx.
func (w *worker) ask(ctx context.Context, what kind, payload []byte) ([]byte, error) {
	answer := make(chan frame, 1)
	number, err := w.send(what, payload, answer)
	if err != nil {
		w.kill(err)
		return nil, w.died()
	}
	select {
	case f := <-answer:
		return f.result()
	case <-ctx.Done():
		w.forget(number)
		return nil, fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Cause(ctx))
	case <-w.gone:
		select {
		case f := <-answer: // it was the last thing that the worker did
			return f.result()
		default:
			return nil, w.died()
		}
	}
}

func (f frame) result() ([]byte, error) {
	if f.kind != answerGood {
		return nil, parseFailure(f.payload)
	}
	return f.payload, nil
}

func (w *worker) died() error {
	<-w.gone
	if f, ok := errors.AsType[*failure](w.reason); ok && f.code == failFatal {
		return w.reason
	}
	return fmt.Errorf("%w: %w", errWorkerDied, w.reason)
}

// send writes a question. A worker that does not even read in time is as good as hung.
func (w *worker) send(what kind, payload []byte, answer chan frame) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	w.waiting[w.number] = question{answer: answer, due: time.Now().Add(patience(what, w.config.SignTimeout))}
	w.buffer = appendFrame(w.buffer[:0], frame{kind: what, number: w.number, payload: payload})
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.config.SignTimeout)); err != nil {
		return 0, err
	}
	_, err := w.conn.Write(w.buffer)
	return w.number, err
}

// forget leaves a question to the watch: the answer is no longer wanted, but a worker that never gives it is hung.
func (w *worker) forget(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q, ok := w.waiting[number]; ok {
		q.answer = nil
		w.waiting[number] = q
	}
}

// read hands answers to their questions until the worker is gone.
func (w *worker) read() {
	var err error
	for {
		var f frame
		if f, err = readFrame(w.conn); err != nil {
			break
		}
		w.mu.Lock()
		q, known := w.waiting[f.number]
		delete(w.waiting, f.number)
		w.mu.Unlock()
		if !known {
			err = fmt.Errorf("%w: an answer without a question", errFrame)
			break
		}
		if q.answer != nil {
			q.answer <- f
		}
	}
	w.end(err)
}

// end reaps the process and says why it is gone.
func (w *worker) end(err error) {
	_ = w.command.Process.Kill() // it may be gone already
	waited := w.command.Wait()
	w.conn.Close()
	said := bytes.TrimSpace(w.stderr.Bytes())
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.reason != nil:
	case len(said) > 0:
		w.reason = fmt.Errorf("%s", firstLine(said))
	case errors.Is(err, io.EOF) && waited != nil:
		w.reason = waited
	default:
		w.reason = err
	}
	close(w.gone)
}

// kill ends the worker for a reason. It does not wait.
func (w *worker) kill(reason error) {
	w.mu.Lock()
	if w.reason == nil {
		w.reason = reason
	}
	w.mu.Unlock()
	_ = w.command.Process.Kill() // it may be gone already
}

func (w *worker) dead() bool {
	select {
	case <-w.gone:
		return true
	default:
		return false
	}
}

// watch kills a worker that lets a question wait for longer than the time-out.
func (w *worker) watch() {
	ticks := time.NewTicker(max(w.config.SignTimeout/20, 5*time.Millisecond))
	defer ticks.Stop()
	for {
		select {
		case <-w.gone:
			return
		case now := <-ticks.C:
			if w.overdue(now) {
				w.config.Logger.Error("the PKCS#11 module hangs; its worker is killed", "pid", w.command.Process.Pid)
				w.kill(errors.New("the module hung"))
				return
			}
		}
	}
}

// overdue tells whether a question waits for longer than it may.
func (w *worker) overdue(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.waiting {
		if now.After(q.due) {
			return true
		}
	}
	return false
}

// firstLine of a crash names it; the stack that follows is of no use to an operator.
func firstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return line
}

// boundedBuffer keeps the first bytes written to it.
type boundedBuffer struct {
	mu   sync.Mutex
	most int
	kept []byte
}

// Write implements io.Writer.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := b.most - len(b.kept); room > 0 {
		b.kept = append(b.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// Bytes gives what was kept.
func (b *boundedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.kept)
}
