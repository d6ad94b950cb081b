package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/token"
	"countersign/signer/pkcs11/internal/wire"
)

// question is one that waits for its answer.
type question struct {
	// cause is the context of what asks, for the log; it does not end.
	cause context.Context
	// answer is nil when nobody waits any more.
	answer chan wire.Frame
	// due is when a worker that has not answered counts as hung.
	due time.Time
}

// patience is how long a worker may take over a question.
func patience(what wire.Kind, signTimeout time.Duration) time.Duration {
	switch what {
	case wire.AskSign, wire.AskAgree, wire.AskUnwrap:
		return signTimeout
	}
	return time.Minute // to make an RSA key takes its time
}

// sign asks for a signature. A key that the worker does not know may just have been made by another process: then it is
// to look for it first.
func (w *process) sign(ctx context.Context, payload []byte) ([]byte, error) {
	signature, err := w.ask(ctx, wire.AskSign, payload)
	if f, ok := errors.AsType[*wire.Failure](err); !ok || f.Code != wire.FailNoKey {
		return signature, err
	}
	if _, err := w.ask(ctx, wire.AskKey, payload[1:1+wire.KIDSize]); err != nil {
		return nil, err
	}
	return w.ask(ctx, wire.AskSign, payload)
}

// ask puts a question and waits for the answer, no longer than ctx.
func (w *process) ask(ctx context.Context, what wire.Kind, payload []byte) ([]byte, error) {
	select {
	case w.window <- struct{}{}:
	case <-ctx.Done():
		return nil, outOfTime(ctx)
	case <-w.gone:
		return nil, w.died()
	}
	answer := make(chan wire.Frame, 1)
	number := w.put(ctx, what, payload, answer)
	select {
	case f := <-answer:
		return w.result(payload, f)
	case <-ctx.Done():
		w.forget(number)
		return nil, outOfTime(ctx)
	case <-w.gone:
		select {
		case f := <-answer: // it was the last thing that the worker did
			return w.result(payload, f)
		default:
			return nil, w.died()
		}
	}
}

func outOfTime(ctx context.Context) error {
	return fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Cause(ctx))
}

// result reads the answer to a question. A worker whose module is in trouble is not asked again.
func (w *process) result(asked []byte, f wire.Frame) ([]byte, error) {
	if f.Kind == wire.AnswerGood {
		return f.Payload, nil
	}
	var failed *wire.Failure
	if f.Kind == wire.AnswerUnsigned {
		failed = token.Unsigned(string(asked[1:1+wire.KIDSize]), f.Payload)
	} else {
		failed = wire.ParseFailure(f.Payload)
	}
	if failed.Code == wire.FailModule || errors.Is(failed, wire.ErrOperator) {
		w.kill(failed)
	}
	return nil, failed
}

// put notes a question and has it sent. It never blocks: whoever comes here has a place in the window.
func (w *process) put(ctx context.Context, what wire.Kind, payload []byte, answer chan wire.Frame) uint64 {
	w.mu.Lock()
	w.number++
	number := w.number
	// What comes behind twice as many as are done at once may take as long once more.
	turns := 1 + len(w.waiting)/(2*w.config.Sessions)
	w.waiting[number] = question{
		cause: context.WithoutCancel(ctx), answer: answer,
		due: w.config.Now().Add(time.Duration(turns) * patience(what, w.config.SignTimeout)),
	}
	w.mu.Unlock()
	f := wire.Frame{Kind: what, Number: number, Payload: payload}
	if what == wire.AskSign {
		w.post(f)
	} else {
		w.outgoing <- f
	}
	return number
}

// postAgain is how soon a packet is sent again that found the socket full.
const postAgain = time.Millisecond

// post sends a request to sign at once, without another goroutine. Only if the socket is full, as it can be of long
// messages for a worker that hangs, one waits for room.
func (w *process) post(f wire.Frame) {
	packet := wire.AppendFrame(make([]byte, 0, wire.HeaderSize+len(f.Payload)), f)
	if w.sent(packet) {
		return
	}
	go func() {
		again := time.NewTicker(postAgain)
		defer again.Stop()
		for !w.sent(packet) {
			select {
			case <-w.gone:
				return
			case <-again.C:
			}
		}
	}()
}

// sent sends a packet without waiting, and reports whether there was room for it. A worker that is gone says so to its
// readers.
func (w *process) sent(packet []byte) bool {
	room := true
	// It is no waiting write, which would keep others from theirs.
	_ = w.packets.Write(func(fd uintptr) bool {
		_, err := syscall.Write(int(fd), packet)
		for errors.Is(err, syscall.EINTR) {
			_, err = syscall.Write(int(fd), packet)
		}
		room = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS)
		return true
	})
	return room
}

// forget leaves a question to the watch: the answer is no longer wanted, but a worker that never gives it is hung.
func (w *process) forget(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q, ok := w.waiting[number]; ok {
		q.answer = nil
		w.waiting[number] = q
	}
}

// answered hands an answer to its question. Its place in the window is free again only now, though the caller may have
// left long ago: until now the worker had it to do.
func (w *process) answered(f wire.Frame) error {
	w.mu.Lock()
	q, known := w.waiting[f.Number]
	delete(w.waiting, f.Number)
	w.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: an answer without a question", wire.ErrFrame)
	}
	<-w.window
	if q.answer != nil {
		q.answer <- f
	}
	return nil
}

// write sends questions, as many at once as there are. A worker that does not read is for the watch to find.
func (w *process) write() {
	var buffer []byte
	for {
		select {
		case <-w.gone:
			return
		case f := <-w.outgoing:
			buffer = wire.AppendFrame(buffer[:0], f)
		}
		for more := true; more; {
			select {
			case f := <-w.outgoing:
				buffer = wire.AppendFrame(buffer, f)
			default:
				more = false
			}
		}
		if _, err := w.conn.Write(buffer); err != nil {
			// Its process is gone or going: read says why.
			return
		}
	}
}

// readSigned hands signatures to those who wait for them, until the worker is gone.
func (w *process) readSigned() {
	packet := make([]byte, wire.MaxAnswers*(wire.HeaderSize+wire.MaxSignature))
	for {
		size, err := w.signing.Read(packet)
		if err != nil {
			return // its process is gone or going: read says why
		}
		for rest := packet[:size]; len(rest) > 0; {
			var f wire.Frame
			f, rest, err = wire.ParsePacket(rest)
			switch {
			case err != nil:
			case len(f.Payload) > wire.MaxSignature:
				err = fmt.Errorf("%w: a signature of %d bytes", wire.ErrFrame, len(f.Payload))
			default:
				f.Payload = bytes.Clone(f.Payload)
				err = w.answered(f)
			}
			if err != nil {
				w.kill(err)
				return
			}
		}
	}
}

// watch kills a worker that lets a question wait for longer than the time-out.
func (w *process) watch() {
	ticks := time.NewTicker(max(w.config.SignTimeout/20, 5*time.Millisecond))
	defer ticks.Stop()
	for {
		select {
		case <-w.gone:
			return
		case <-ticks.C:
			if cause, hung := w.overdue(w.config.Now()); hung {
				w.config.Logger.ErrorContext(cause, "PKCS#11 module hangs; worker killed", "pid", w.command.Process.Pid)
				w.kill(errors.New("the module hung"))
				return
			}
		}
	}
}

// overdue reports whether a question waits for longer than it may, and which request has asked it.
func (w *process) overdue(now time.Time) (cause context.Context, hung bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.waiting {
		if now.After(q.due) {
			return q.cause, true
		}
	}
	return nil, false
}
