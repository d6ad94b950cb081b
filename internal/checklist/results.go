package checklist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Result is the result of a test, or of all tests of an item.
type Result struct {
	// Accepts and Refuses count the subtests in which the server had to accept, and to refuse.
	Accepts, Refuses int
	// Failed reports whether not everything passed.
	Failed bool
}

// plus adds two results.
func (r Result) plus(other Result) Result {
	return Result{r.Accepts + other.Accepts, r.Refuses + other.Refuses, r.Failed || other.Failed}
}

// event is a line of what `go test -json` prints (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// Place finds a test: the folder of its package from the root of the module, and its function.
type Place struct{ Folder, Function string }

// ReadResults reads what `go test -json` printed for packages of a module. Of nested subtests only the innermost
// are counted, by the name of the outermost. What failed tests printed goes to failures.
func ReadResults(report io.Reader, module string, failures io.Writer) (map[Place]Result, error) {
	type run struct{ folder, test string }
	outcomes, output, parents := map[run]string{}, map[run]string{}, map[run]bool{}
	for decoder := json.NewDecoder(report); ; {
		var e event
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("checklist: the output of go test cannot be read: %w", err)
		}
		this := run{strings.TrimPrefix(e.Package, module+"/"), e.Test}
		switch e.Action {
		case "output":
			output[this] += e.Output
		case "pass", "fail", "skip":
			outcomes[this] = e.Action
		}
		if slash := strings.LastIndex(e.Test, "/"); slash > 0 {
			parents[run{this.folder, e.Test[:slash]}] = true
		}
	}
	results := map[Place]Result{}
	for this, outcome := range outcomes {
		if outcome == "fail" {
			fmt.Fprint(failures, output[this])
		}
		function, subtest, _ := strings.Cut(this.test, "/")
		one := Result{Failed: outcome != "pass"}
		switch {
		case function == "":
			continue // the package as a whole
		case parents[this]:
		case strings.HasPrefix(subtest, "accepts"):
			one.Accepts = 1
		case strings.HasPrefix(subtest, "refuses"):
			one.Refuses = 1
		}
		place := Place{this.folder, function}
		results[place] = results[place].plus(one)
	}
	return results, nil
}

// Place returns where the test is.
func (t Test) Place() Place { return Place{t.Folder, t.Function} }
