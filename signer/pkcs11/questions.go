package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/signer"
)

// question is one that waits for its answer.
type question struct {
	// answer is nil when nobody waits any more.
	answer chan frame
	// due is when a worker that has not answered counts as hung.
	due time.Time
}

// patience is how long a worker may take over a question.
func patience(what kind, signTimeout time.Duration) time.Duration {
	switch what {
	case askSign, askAgree, askUnwrap:
		return signTimeout
	}
	return time.Minute // to make an RSA key takes its time
}

// ask puts a question and waits for the answer, no longer than ctx.
func (w *worker) ask(ctx context.Context, what kind, payload []byte) ([]byte, error) {
	select {
	case w.window <- struct{}{}:
	case <-ctx.Done():
		return nil, outOfTime(ctx)
	case <-w.gone:
		return nil, w.died()
	}
	answer := make(chan frame, 1)
	number := w.put(what, payload, answer)
	select {
	case f := <-answer:
		return w.result(f)
	case <-ctx.Done():
		w.forget(number)
		return nil, outOfTime(ctx)
	case <-w.gone:
		select {
		case f := <-answer: // it was the last thing that the worker did
			return w.result(f)
		default:
			return nil, w.died()
		}
	}
}

func outOfTime(ctx context.Context) error {
	return fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Cause(ctx))
}

// result reads an answer. A worker whose module is in trouble ends itself: it is not asked again.
func (w *worker) result(f frame) ([]byte, error) {
	if f.kind == answerGood {
		return f.payload, nil
	}
	failed := parseFailure(f.payload)
	if failed.code == failModule || failed.code == failFatal {
		w.kill(failed)
	}
	return nil, failed
}

// put notes a question and has it written. It never blocks: whoever comes here has a place in the window.
func (w *worker) put(what kind, payload []byte, answer chan frame) uint64 {
	w.mu.Lock()
	w.number++
	number := w.number
	w.waiting[number] = question{answer: answer, due: time.Now().Add(patience(what, w.config.SignTimeout))}
	w.mu.Unlock()
	w.outgoing <- frame{kind: what, number: number, payload: payload}
	return number
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

// answered hands an answer to its question. Its place in the window is free again only now, though the caller may have
// left long ago: until now the worker had it to do.
func (w *worker) answered(f frame) error {
	w.mu.Lock()
	q, known := w.waiting[f.number]
	delete(w.waiting, f.number)
	w.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: an answer without a question", errFrame)
	}
	<-w.window
	if q.answer != nil {
		q.answer <- f
	}
	return nil
}

// write sends questions, as many at once as there are. A worker that does not read is for the watch to find.
func (w *worker) write() {
	var buffer []byte
	for {
		select {
		case <-w.gone:
			return
		case f := <-w.outgoing:
			buffer = appendFrame(buffer[:0], f)
		}
		for more := true; more; {
			select {
			case f := <-w.outgoing:
				buffer = appendFrame(buffer, f)
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
