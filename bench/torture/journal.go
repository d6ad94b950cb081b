package main

import (
	"bytes"

	"countersign/bench/torture/history"
)

// journal is a history in memory: that of load from this process.
type journal struct {
	buffer *bytes.Buffer
	writer *history.Writer
}

func newJournal() journal {
	buffer := &bytes.Buffer{}
	return journal{buffer, history.NewWriter(buffer, monotonic)}
}

// do runs one operation with its place in the history.
func (j journal) do(verb, thing, made string, work func() (history.Outcome, string)) {
	number, err := j.writer.Begin(verb, thing, made)
	if err != nil {
		panic(err) // memory takes everything
	}
	outcome, reason := work()
	if err := j.writer.End(number, outcome, reason); err != nil {
		panic(err)
	}
}

// verdict judges the journal, to which nobody writes any more.
func (j journal) verdict() (history.Verdict, error) {
	all, err := history.Read("load", j.buffer)
	if err != nil {
		return history.Verdict{}, err
	}
	return history.Check(all), nil
}
