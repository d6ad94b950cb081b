// Command generate runs the numbered tests and writes docs/conformance.md. It ends with 1 when a test fails or when a
// requirement is not shown from both sides; the page says which.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"countersign/internal/checklist"
)

func main() {
	file := flag.String("write", "docs/conformance.md", "the page to write")
	only := flag.String("only", "", "run only the test functions that this regular expression matches; for others the page's results stay")
	flag.Parse()
	if err := run(*file, *only); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(file, only string) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	tests, err := checklist.Find(".")
	if err != nil {
		return err
	}
	known := map[checklist.Place]checklist.Result{}
	if only != "" {
		page, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if known, err = checklist.ReadPage(string(page)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	results, err := runTests(slices.DeleteFunc(slices.Clone(tests), func(test checklist.Test) bool { return !chosen.MatchString(test.Function) }))
	if err != nil {
		return err
	}
	for _, test := range tests {
		if _, ran := results[test.Place()]; ran {
			continue
		}
		if result, there := known[test.Place()]; there {
			results[test.Place()] = result
		} else {
			results[test.Place()] = checklist.Result{Failed: true} // neither ran nor is on the page
		}
	}
	page := checklist.Page(tests, results)
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		return err
	}
	problems := checklist.Problems(tests, results)
	for _, problem := range problems {
		fmt.Println(problem)
	}
	fmt.Printf("%s: %d numbered tests\n", file, len(tests))
	if len(problems) > 0 {
		return fmt.Errorf("%d requirements are not shown", len(problems))
	}
	return nil
}

// runTests runs the tests by their names, in the packages that have some.
func runTests(tests []checklist.Test) (map[checklist.Place]checklist.Result, error) {
	var functions, packages []string
	for _, test := range tests {
		functions = append(functions, test.Function)
		packages = append(packages, "./"+test.Folder)
	}
	slices.Sort(functions)
	slices.Sort(packages)
	arguments := []string{"test", "-json", "-count=1", "-run", "^(" + strings.Join(slices.Compact(functions), "|") + ")$"}
	if os.Geteuid() == 0 {
		arguments = append(arguments, "-tags", "root") // as make test does
	}
	command := exec.Command("go", append(arguments, slices.Compact(packages)...)...)
	command.Stderr = os.Stderr
	report, failure := command.Output()
	build, known := debug.ReadBuildInfo()
	if !known {
		return nil, errors.New("this program does not know its module")
	}
	results, err := checklist.ReadResults(bytes.NewReader(report), build.Main.Path, os.Stdout)
	if err != nil {
		return nil, err
	}
	// A test that did not run, because its package does not build or ended early, failed.
	for _, test := range tests {
		if _, ran := results[test.Place()]; !ran {
			results[test.Place()] = checklist.Result{Failed: true}
		}
	}
	if failure != nil {
		fmt.Fprintln(os.Stderr, "generate: go test:", failure)
	}
	return results, nil
}
