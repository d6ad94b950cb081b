package connection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/store"
	"countersign/store/internal/backend"
)

// batch is how many verbs share a transaction at most.
const batch = 64

// patience is how long a verb waits to be taken. Others are written in milliseconds; a disk that takes longer hangs.
const patience = 3 * time.Second

// gather is how long the writer waits for more verbs when the last batch had several: a commit costs much the same for one
// verb and for ten. A single verb never waits.
const gather = time.Millisecond

// Writer runs the verbs that change something, on one connection. Verbs that come while it is busy go together in
// one transaction: what a commit costs is the disk's flush, and one flush makes all of them durable. Each answer
// is given after the commit, and a verb that fails rolls back its own changes only.
type Writer struct {
	connection *Conn
	jobs       chan job
	closing    chan struct{}
	stopped    chan struct{}
}

// Statements is whether a verb needs a transaction around it when it runs alone.
type Statements int

const (
	// Reading is a verb that only reads. It is here for its speed: a connection that does not write itself must
	// read every page again after each change.
	Reading Statements = iota
	// Single is a verb of one statement.
	Single
	// Several is a verb of several statements, of which all are done or none.
	Several
)

// job is a verb on its way through the writer.
type job struct {
	statements Statements
	work       func(*Conn) error
	done       chan error
}

// kept is an outcome that is an error to the caller although the changes made so far stay.
type kept struct{ error }

// Keep makes an outcome with which the changes made so far stay.
func Keep(outcome error) error { return kept{outcome} }

// OpenWriter opens the connection. Its verbs are done in a goroutine, which ends with [Writer.Close].
func OpenWriter(ctx context.Context, dsn string) (*Writer, error) {
	c, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	// A longer WAL than the usual 1000 pages takes the pages that are written again and again to the file less often.
	if _, err := c.Exec("PRAGMA wal_autocheckpoint = 4000"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	w := &Writer{connection: c, jobs: make(chan job), closing: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w, nil
}

// Do has a verb done and waits for its end. The caller can give up until the verb is taken, not after.
func (w *Writer) Do(ctx context.Context, statements Statements, work func(*Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := job{statements: statements, work: work, done: make(chan error, 1)}
	select {
	case <-w.closing:
		return errClosed
	default:
	}
	impatient := time.NewTimer(patience)
	defer impatient.Stop()
	select {
	case w.jobs <- j:
		return <-j.done
	case <-w.closing:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting to write: %w", store.ErrOverloaded, ctx.Err())
	case <-impatient.C:
		return fmt.Errorf("%w: the disk did not take what others write for %s", store.ErrOverloaded, patience)
	}
}

// Close waits for the running verbs, refuses later ones and closes the connection.
func (w *Writer) Close() error {
	close(w.closing)
	<-w.stopped
	return w.connection.close()
}

func (w *Writer) run() {
	defer close(w.stopped)
	jobs := make([]job, 0, batch)
	crowded := false
	for {
		select {
		case first := <-w.jobs:
			if crowded {
				time.Sleep(gather)
			}
			jobs = w.collect(append(jobs[:0], first))
			crowded = len(jobs) > 1
		case <-w.closing:
			return
		}
		if len(jobs) == 1 || onlyReading(jobs) {
			for _, j := range jobs {
				j.done <- w.alone(j)
			}
			continue
		}
		outcomes, err := w.together(jobs)
		for i, j := range jobs {
			if err != nil {
				j.done <- err
			} else {
				j.done <- outcomes[i]
			}
		}
	}
}

// onlyReading reports whether there is nothing to commit.
func onlyReading(jobs []job) bool {
	return !slices.ContainsFunc(jobs, func(j job) bool { return j.statements != Reading })
}

// collect adds the jobs that wait already.
func (w *Writer) collect(jobs []job) []job {
	for len(jobs) < batch {
		select {
		case j := <-w.jobs:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// work does a job and returns its outcome and whether the changes that it made stay.
func (w *Writer) work(j job) (outcome error, stays bool) {
	w.connection.changed = false
	outcome = j.work(w.connection)
	if k, ok := errors.AsType[kept](outcome); ok {
		return k.error, true
	}
	return outcome, outcome == nil
}

// alone runs a job in its own transaction and returns its outcome.
func (w *Writer) alone(j job) error {
	if j.statements != Several {
		return j.work(w.connection)
	}
	var outcome error
	err := w.transaction(func() error {
		var stays bool
		if outcome, stays = w.work(j); !stays {
			return outcome
		}
		return nil
	})
	if err != nil {
		return err
	}
	return outcome
}

// errRolledBack reports that a verb failed after it had changed something, so that its transaction cannot go on.
var errRolledBack = errors.New("a verb must be rolled back")

// together runs jobs in one transaction. An error means that none of them is done; otherwise each has its outcome.
// A verb that fails mostly does so with an answer and before it has changed anything. Only if one does not, all are
// run again with a savepoint around each: savepoints cost a fifth more.
func (w *Writer) together(jobs []job) (outcomes []error, err error) {
	outcomes = make([]error, len(jobs))
	err = w.transaction(func() error {
		for i, j := range jobs {
			var stays bool
			if outcomes[i], stays = w.work(j); !stays && (w.connection.changed || !backend.Answer(outcomes[i])) {
				return errRolledBack
			}
		}
		return nil
	})
	if errors.Is(err, errRolledBack) {
		err = w.transaction(func() error { return w.apart(jobs, outcomes) })
	}
	return outcomes, err
}

// apart runs jobs with a savepoint around each.
func (w *Writer) apart(jobs []job, outcomes []error) error {
	for i, j := range jobs {
		if _, err := w.connection.Exec("SAVEPOINT verb"); err != nil {
			return err
		}
		var stays bool
		if outcomes[i], stays = w.work(j); !stays {
			// This fails when SQLite has rolled back the whole transaction, as for a full disk.
			if _, err := w.connection.Exec("ROLLBACK TO verb"); err != nil {
				return fmt.Errorf("roll back a verb: %w (it failed with: %v)", err, outcomes[i])
			}
		}
		if _, err := w.connection.Exec("RELEASE verb"); err != nil {
			return err
		}
	}
	return nil
}

// transaction runs work between BEGIN and COMMIT, or ROLLBACK when it fails.
func (w *Writer) transaction(work func() error) (err error) {
	if _, err := w.connection.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// A failure here means that SQLite has rolled back already.
			_, _ = w.connection.Exec("ROLLBACK")
		}
	}()
	if err := work(); err != nil {
		return err
	}
	_, err = w.connection.Exec("COMMIT")
	return err
}
