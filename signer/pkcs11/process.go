package pkcs11

import (
	"bufio"
	"bytes"
	"context"
	"crypto/fips140"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/internal/worker"
)

// reapTimeout is how long a killed process may take to go. One that is stuck in a device's driver never does.
const reapTimeout = 500 * time.Millisecond

// errWorkerDied: the process that was to answer is gone.
var errWorkerDied = fmt.Errorf("%w: its worker process died", signer.ErrUnavailable)

// process is a living child process and the questions put to it.
type process struct {
	config  Config
	command *exec.Cmd
	conn    net.Conn
	// signing is the socket of packets, and packets is what sends on it without waiting.
	signing net.Conn
	packets syscall.RawConn
	stderr  *boundedBuffer

	// window has a place for each question that the worker was given and has not answered. Four for each session keep
	// it busy without a pause; what waits for longer waits on this side, where waiting can end. So a worker with much to
	// do is not taken for one that hangs.
	window chan struct{}
	// outgoing holds frames to be written. It has room for all that the window lets through.
	outgoing chan wire.Frame

	// gone is closed when the worker can answer no more.
	gone chan struct{}

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]question
	// reason says why the worker is gone or about to go; nil while it lives.
	reason error
}

// startWorker launches a worker and has it log in. A worker that is not ready when ctx ends is killed.
func startWorker(ctx context.Context, config Config, h wire.Hello) (*process, error) {
	w, err := launchWorker(config)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, config.StartTimeout, fmt.Errorf("the module took longer than %s to open the token", config.StartTimeout))
	defer cancel()
	answer, err := w.ask(ctx, wire.AskHello, payload)
	if err != nil {
		w.kill(err)
		<-w.gone
		return nil, err
	}
	var opened wire.Opened
	if json.Unmarshal(answer, &opened) == nil && opened.Sessions > 0 && opened.Sessions < config.Sessions {
		config.Logger.Warn("token has fewer sessions than signer.sessions", "count", opened.Sessions)
	}
	go w.watch()
	return w, nil
}

// launchWorker starts the child process with one end of a stream as its file 3 and of a socket for packets as its file 4.
func launchWorker(config Config) (*process, error) {
	conn, theirs, err := connect(socketPair)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	signing, theirSigning, err := connect(packetPair)
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer theirSigning.Close()
	packets, err := signing.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: make a socket: %w", err), conn.Close(), signing.Close())
	}
	places := places * config.Sessions
	w := &process{
		config: config, conn: conn, signing: signing, packets: packets, stderr: &boundedBuffer{most: 4096},
		window: make(chan struct{}, places), outgoing: make(chan wire.Frame, places),
		gone: make(chan struct{}), waiting: map[uint64]question{},
	}
	w.command = exec.Command(config.Executable, worker.Command)
	w.command.Args[0] = "countersign" // what a list of processes shows, also of /proc/self/exe
	w.command.SysProcAttr = dieWithParent()
	w.command.Env = environment(config.Environment)
	w.command.ExtraFiles = []*os.File{theirs, theirSigning}
	w.command.Stderr = w.stderr
	if err := w.launch(); err != nil {
		conn.Close()
		signing.Close()
		return nil, fmt.Errorf("pkcs11: start the worker: %w", err)
	}
	go w.write()
	go w.read()
	go w.readSigned()
	return w, nil
}

// launch starts the process from a thread that stays until the process is gone: the system ends it with its parent, and
// takes the thread that started it for that (prctl(2), PR_SET_PDEATHSIG).
func (w *process) launch() error {
	launched := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := w.command.Start()
		launched <- err
		if err == nil {
			<-w.gone
		}
	}()
	return <-launched
}

// connect makes a pair of sockets: our end, and the worker's for it to inherit.
func connect(pair func() (ours, theirs *os.File, err error)) (net.Conn, *os.File, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, nil, fmt.Errorf("pkcs11: make a socket: %w", err)
	}
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("pkcs11: make a socket: %w", err)
	}
	return conn, theirs, nil
}

// environment is the worker's: what the configuration says, and where FIPS 140-3 is enforced, that it is there too.
func environment(values map[string]string) []string {
	list := []string{} // not nil: the worker inherits nothing else
	if _, own := values["GODEBUG"]; fips140.Enforced() && !own {
		list = append(list, "GODEBUG=fips140=only")
	}
	for name, value := range values {
		list = append(list, name+"="+value)
	}
	return list
}

// read hands answers to their questions until the worker is gone.
func (w *process) read() {
	r := bufio.NewReader(w.conn)
	var err error
	for {
		var f wire.Frame
		if f, err = wire.ReadFrame(r); err != nil {
			break
		}
		if err = w.answered(f); err != nil {
			break
		}
	}
	w.end(err)
}

// end reaps the process and says why it is gone.
func (w *process) end(err error) {
	w.conn.Close()
	w.signing.Close()
	_ = w.command.Process.Kill() // it may be gone already
	reaped := make(chan error, 1)
	go func() { reaped <- w.command.Wait() }()
	patient := time.NewTimer(reapTimeout)
	defer patient.Stop()
	var waited error
	select {
	case waited = <-reaped:
	case <-patient.C:
	}
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
func (w *process) kill(reason error) {
	w.mu.Lock()
	if w.reason == nil {
		w.reason = reason
	}
	w.mu.Unlock()
	_ = w.command.Process.Kill() // it may be gone already
	w.conn.Close()               // ends read, and with it the worker, even if the process stays
	w.signing.Close()
}

// dead reports whether the worker is gone or about to go.
func (w *process) dead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason != nil
}

// died is the error of a question that the worker can answer no more. The worker must be gone.
func (w *process) died() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.reason, wire.ErrOperator) {
		return w.reason
	}
	return fmt.Errorf("%w: %w", errWorkerDied, w.reason)
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
