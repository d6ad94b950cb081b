package history_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/bench/torture/history"
)

// told makes a history out of lines: process, verb, thing, made, begun, done (or - for never), outcome, reason.
func told(t *testing.T, lines string) []history.Operation {
	t.Helper()
	outcomes := map[string]history.Outcome{"ok": history.OK, "refused": history.Refused, "unknown": history.Unknown}
	var all []history.Operation
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		words := strings.Fields(line)
		if len(words) != 8 {
			t.Fatalf("%d words in %q", len(words), line)
		}
		number := func(word string) (n int64) {
			if word == "-" {
				return 0
			}
			for _, digit := range word {
				n = 10*n + int64(digit-'0')
			}
			return n
		}
		all = append(all, history.Operation{Process: words[0], Verb: words[1], Thing: words[2], Made: words[3],
			Begun: number(words[4]), Done: number(words[5]), Outcome: outcomes[words[6]], Reason: words[7]})
	}
	return all
}

// TestCheck shows the checker what a store may do and what it must not, and sees each fault named.
func TestCheck(t *testing.T) {
	tests := []struct {
		name, history string
		want          []history.Kind
	}{
		{"one winner", `
			a issue code/1 -  1 2 ok -
			a consume code/1 ta 3 6 ok -
			b consume code/1 tb 4 7 refused consumed
			z look  code/1 -  9 9 ok ended
			z look  code/1 ta 9 9 ok ended
			z look  code/1 tb 9 9 ok absent`, nil},
		{"ended by nobody", `
			a issue code/1 -  1 2 ok -
			a consume code/1 ta 3 6 ok -
			z look  code/1 ta 9 9 ok ended`, []history.Kind{history.LostWrite}},
		{"ended by somebody who was not answered", `
			a issue code/1 -  1 2 ok -
			a consume code/1 ta 3 6 ok -
			b consume code/1 tb 4 - unknown killed
			z look  code/1 ta 9 9 ok ended`, nil},
		{"two winners", `
			a issue jti/1 -  1 2 ok -
			a consume jti/1 ta 3 6 ok -
			b consume jti/1 tb 4 7 ok -`, []history.Kind{history.DoubleSuccess}},
		{"two winners, one of them not acknowledged", `
			a issue request/1 - 1 2 ok -
			a consume request/1 ta 3 6 ok -
			b consume request/1 tb 4 - unknown killed
			z look  request/1 -  9 9 ok consumed
			z look  request/1 ta 9 9 ok there
			z look  request/1 tb 9 9 ok there`, []history.Kind{history.DoubleSuccess}},
		{"a winner that was cut off", `
			a issue jti/1 -  1 2 ok -
			a consume jti/1 ta 3 - unknown killed
			b consume jti/1 tb 4 7 refused consumed
			z look  jti/1 -  9 9 ok consumed`, nil},
		{"a try that was cut off and did nothing", `
			a issue request/1 -  1 2 ok -
			a consume request/1 ta 3 - unknown killed
			z look  request/1 -  9 9 ok fresh
			z look  request/1 ta 9 9 ok absent`, nil},
		{"a lost redemption", `
			a issue request/1 -  1 2 ok -
			a consume request/1 ta 3 6 ok -
			z look  request/1 -  9 9 ok fresh`, []history.Kind{history.LostWrite}},
		{"a lost token", `
			a issue request/1 -  1 2 ok -
			a consume request/1 ta 3 6 ok -
			z look  request/1 ta 9 9 ok absent`, []history.Kind{history.LostWrite}},
		{"a lost token, seen before the end", `
			a issue  request/1 -  1 2 ok -
			a consume  request/1 ta 3 6 ok -
			b access request/1 ta 7 8 refused absent`, []history.Kind{history.LostWrite}},
		{"a lost issue", `
			a issue code/1 -  1 2 ok -
			a consume code/1 ta 3 6 refused absent`, []history.Kind{history.LostWrite}},
		{"an issue of unknown outcome that is not there", `
			a issue code/1 -  1 - unknown killed
			a consume code/1 ta 3 6 refused absent
			z look  code/1 -  9 9 ok absent`, nil},
		{"a lost revocation", `
			a issue grant/1 -  1 2 ok -
			a issue grant/1 ta 3 4 ok -
			b end   grant/1 -  5 6 ok -
			z look  grant/1 ta 9 9 ok there`, []history.Kind{history.Resurrected}},
		{"what came with an issue, lost", `
			a issue grant/1 ta 3 4 ok -
			z look  grant/1 ta 9 9 ok absent`, []history.Kind{history.LostWrite}},
		{"a resurrected token", `
			a issue  grant/1 -  1 2 ok -
			a consume  grant/1 ta 3 4 ok -
			b end    grant/1 -  5 6 ok -
			a access grant/1 ta 7 8 ok -`, []history.Kind{history.Resurrected}},
		{"a token that is used while it is ended", `
			a issue  grant/1 -  1 2 ok -
			a consume  grant/1 ta 3 4 ok -
			b end    grant/1 -  5 8 ok -
			a access grant/1 ta 7 9 ok -
			a access grant/1 ta 10 11 refused ended`, nil},
		{"a token of a code that was used twice", `
			a issue  code/1 -  1 2 ok -
			a consume  code/1 ta 3 4 ok -
			b consume  code/1 tb 5 6 refused consumed
			a access code/1 ta 7 8 ok -`, []history.Kind{history.Resurrected}},
		{"used, and nobody used it", `
			a issue code/1 -  1 2 ok -
			b consume code/1 tb 5 6 refused consumed`, []history.Kind{history.Phantom}},
		{"used before it was used", `
			a issue jti/1 -  1 2 ok -
			b consume jti/1 tb 3 4 refused consumed
			a consume jti/1 ta 5 6 ok -`, []history.Kind{history.Phantom}},
		{"ended, and nobody ended it", `
			a issue code/1 -  1 2 ok -
			b consume code/1 tb 3 4 refused ended`, []history.Kind{history.Phantom}},
		{"refused, and yet written", `
			a issue request/1 -  1 2 ok -
			a consume request/1 ta 3 6 ok -
			b consume request/1 tb 4 7 refused consumed
			z look  request/1 tb 9 9 ok there`, []history.Kind{history.HalfDone}},
		{"half of a try that was cut off", `
			a issue request/1 -  1 2 ok -
			a consume request/1 ta 3 - unknown killed
			z look  request/1 -  9 9 ok consumed
			z look  request/1 ta 9 9 ok absent`, []history.Kind{history.HalfDone}},
		{"the other half", `
			a issue request/1 -  1 2 ok -
			a consume request/1 ta 3 - unknown killed
			z look  request/1 -  9 9 ok fresh
			z look  request/1 ta 9 9 ok there`, []history.Kind{history.HalfDone}},
		{"a last look that failed", `
			a issue request/1 -  1 2 ok -
			z look  request/1 -  9 - unknown away`, []history.Kind{history.LostWrite}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			verdict := history.Check(told(t, test.history))
			var got []history.Kind
			for _, violation := range verdict.Violations {
				got = append(got, violation.Kind)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s\n%+v", diff, verdict.Violations)
			}
		})
	}
}

// TestCounts: the figures of the table.
func TestCounts(t *testing.T) {
	got := history.Check(told(t, `
		a issue code/1 -  1 2 ok -
		a consume code/1 ta 3 6 ok -
		b consume code/1 tb 5 7 refused consumed
		a issue code/2 -  1 2 ok -
		a consume code/2 ta 3 4 ok -
		b consume code/2 tb 5 7 refused consumed
		c consume code/2 tc 5 - unknown killed
		z look  code/2 -  9 9 ok ended`))
	want := history.Verdict{Things: 2, Contended: 1, Attempts: 5, Won: 2, Refused: 2, Unknown: 1, Acknowledged: 4, Looked: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestWriter: what is written is read again, a line that was cut short is no line, and an outcome that was never told is
// unknown.
func TestWriter(t *testing.T) {
	var file strings.Builder
	at := int64(0)
	w := history.NewWriter(&file, func() int64 { at++; return at })
	step := func(number int, err error) int {
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	first := step(w.Begin(history.Consume, "code/1", "ta"))
	second := step(w.Begin(history.Issue, "code/2", "-"))
	third := step(w.Begin(history.Consume, "code/3", "tb"))
	step(0, w.End(third, history.Unknown, "the database is away"))
	step(0, w.End(first, history.Refused, history.Consumed))
	_ = second
	got, err := history.Read("a", strings.NewReader(file.String()+"e 2 9 1"))
	if err != nil {
		t.Fatal(err)
	}
	want := []history.Operation{
		{Process: "a", Verb: "consume", Thing: "code/1", Made: "ta", Begun: 1, Done: 5, Outcome: history.Refused, Reason: "consumed"},
		{Process: "a", Verb: "issue", Thing: "code/2", Made: "-", Begun: 2},
		{Process: "a", Verb: "consume", Thing: "code/3", Made: "tb", Begun: 3, Reason: "the_database_is_away"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, wrong := range []string{"b 2 1 consume code/1 t\n", "e 1 1 1 -\n", "b 1 1 consume code/1\n", "b 1 x consume code/1 t\n",
		"b 1 1 consume code/1 t\ne 1 2 3 -\n", "b 1 1 consume code/1 t\ne 1 2 1 -\ne 1 3 1 -\n", "hello\n"} {
		if _, err := history.Read("a", strings.NewReader(wrong)); err == nil {
			t.Errorf("%q was read", wrong)
		}
	}
}

// TestVerdict counts and tells.
func TestVerdict(t *testing.T) {
	v := history.Check(told(t, `
		a consume jti/1 ta 3 6 ok -
		b consume jti/1 tb 4 7 ok -
		a consume jti/2 ta 3 6 unknown killed`))
	if v.Of(history.DoubleSuccess) != 1 || v.Of(history.LostWrite) != 0 || v.Things != 2 || v.Unwon != 1 {
		t.Errorf("%+v", v)
	}
	if err := v.Err(); err == nil || !strings.Contains(err.Error(), "double success: jti/1") {
		t.Error(err)
	}
	if err := (history.Verdict{}).Err(); err != nil {
		t.Error(err)
	}
	many := history.Verdict{Violations: make([]history.Violation, 25)}
	if err := many.Err(); err == nil || !strings.HasSuffix(err.Error(), "and 5 more") {
		t.Error(err)
	}
}
