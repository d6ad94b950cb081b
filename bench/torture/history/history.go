// Package history holds what processes did to a store, and judges it afterwards: was a one-time thing used twice, was an
// acknowledged write lost, did something that was ended come back? It is pure: it knows no store and no clock, so that a
// test can show it histories that a store must never make.
//
// Each operation is noted twice: when it begins, and when its outcome is known. One that was cut off, by the end of its
// process or by an error that is no answer, has an unknown outcome, which is allowed to have happened or not, but nothing
// in between.
package history

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// Outcome is how an operation ended.
type Outcome byte

// The outcomes.
const (
	// Unknown: the process was killed, or the database was not there to answer. The zero value.
	Unknown Outcome = iota
	// OK: acknowledged.
	OK
	// Refused: answered with a reason.
	Refused
)

// The verbs that [Check] knows.
const (
	// Issue makes a thing; Made is what comes with it, if anything.
	Issue = "issue"
	// Consume uses a thing that can be used once; Made is what the winner gets.
	Consume = "consume"
	// Access uses what Made names, as often as one likes until it is ended.
	Access = "access"
	// End ends a thing with all that was made of it.
	End = "end"
	// Look is the verdict of the store when all is over: Reason says what was seen of the thing itself, or of what
	// Made names.
	Look = "look"
)

// The reasons that [Check] knows.
const (
	// Consumed: the thing was used before.
	Consumed = "consumed"
	// Ended: it was ended before.
	Ended = "ended"
	// Absent: there is no such thing.
	Absent = "absent"
	// Fresh is seen by a Look: there, and never used.
	Fresh = "fresh"
	// There is seen by a Look: what Made names is valid.
	There = "there"
)

// Operation is one try of one process.
type Operation struct {
	// Process names who tried.
	Process string
	Verb    string
	// Thing is the one-time thing, as "code/17".
	Thing string
	// Made names what the operation makes or uses, such as the token that a code is exchanged for; or "-".
	Made string
	// Begun and Done are nanoseconds on one clock of the machine. Done is zero while the outcome is unknown.
	Begun, Done int64
	Outcome     Outcome
	// Reason says why it was refused or unknown, or what a Look saw.
	Reason string
}

// Writer writes the operations of one process, each line in one write: what was written stays written when the process is
// killed at the next instant. It may be used from several goroutines.
type Writer struct {
	mu     sync.Mutex
	to     io.Writer
	now    func() int64
	serial int
}

// NewWriter writes to a file that is not buffered, with the time in nanoseconds.
func NewWriter(to io.Writer, now func() int64) *Writer { return &Writer{to: to, now: now} }

// Begin notes that an operation begins, and gives its number.
func (w *Writer) Begin(verb, thing, made string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serial++
	_, err := fmt.Fprintf(w.to, "b %d %d %s %s %s\n", w.serial, w.now(), verb, thing, made)
	return w.serial, err
}

// End notes how it ended.
func (w *Writer) End(number int, outcome Outcome, reason string) error {
	if reason == "" {
		reason = "-"
	}
	reason = strings.Join(strings.Fields(reason), "_")
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := fmt.Fprintf(w.to, "e %d %d %d %s\n", number, w.now(), outcome, reason)
	return err
}

// Read reads what a Writer wrote. A last line that was cut short is left out.
func Read(process string, from io.Reader) ([]Operation, error) {
	var all []Operation
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if all, err = add(all, process, strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("history of %s: %w: %q", process, err, line)
		}
	}
}

// add takes one line. Operations are numbered from 1 in the order in which they begin.
func add(all []Operation, process string, words []string) ([]Operation, error) {
	if len(words) < 5 {
		return nil, fmt.Errorf("%d words", len(words))
	}
	number, err := strconv.Atoi(words[1])
	if err != nil {
		return nil, err
	}
	at, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return nil, err
	}
	switch {
	case words[0] == "b" && len(words) == 6 && number == len(all)+1:
		return append(all, Operation{Process: process, Verb: words[3], Thing: words[4], Made: words[5], Begun: at}), nil
	case words[0] == "e" && number >= 1 && number <= len(all) && all[number-1].Done == 0:
		outcome, err := strconv.Atoi(words[3])
		if err != nil || outcome < 0 || outcome > int(Refused) {
			return nil, fmt.Errorf("outcome %q", words[3])
		}
		operation := &all[number-1]
		operation.Outcome, operation.Reason = Outcome(outcome), words[4]
		if operation.Outcome != Unknown {
			operation.Done = at
		}
		return all, nil
	}
	return nil, fmt.Errorf("a line out of place")
}
