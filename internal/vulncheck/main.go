// Command vulncheck looks for known vulnerabilities that the code reaches, and fails on each that is not listed, for a while
// and with a reason, in exceptions.txt. `make vulncheck` runs it.
//
// It needs no network but the module proxy: the vulnerability database is the module golang.org/x/vulndb, of which it takes the
// newest version that is served, so that a vulnerability shows on the day it is known. Of the version it makes, once, what
// govulncheck reads. Where no proxy answers it goes on with the version from before, and says so.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// database is the module of the vulnerability database.
const database = "golang.org/x/vulndb"

func main() {
	scanner := flag.String("govulncheck", "", "the scanner's package@version")
	cache := flag.String("cache", "", "the folder for databases")
	exceptions := flag.String("exceptions", "internal/vulncheck/exceptions.txt", "the list of exceptions")
	flag.Parse()
	if *scanner == "" || *cache == "" {
		flag.Usage()
		os.Exit(2)
	}
	c := check{scanner: *scanner, cache: *cache, exceptions: *exceptions, now: time.Now, out: os.Stdout}
	if err := c.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

type check struct {
	scanner, cache, exceptions string
	now                        func() time.Time
	out                        io.Writer
}

func (c check) run(ctx context.Context) error {
	text, err := os.ReadFile(c.exceptions)
	if err != nil {
		return err
	}
	accepted, err := parseExceptions(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", c.exceptions, err)
	}
	folder, err := c.database(ctx)
	if err != nil {
		return err
	}
	// The scanner ends with 0 in this format, whatever it found.
	found, err := output(ctx, "go", "run", c.scanner, "-format", "json", "-db", "file://"+filepath.ToSlash(folder), "./...")
	if err != nil {
		return err
	}
	report, err := parseReport(bytes.NewReader(found))
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s, database of %s: %d known vulnerabilities are reachable\n", report.goVersion, filepath.Base(folder), len(report.reachable))
	return judge(c.out, report.reachable, accepted, c.now())
}

// database returns the folder of the newest database that there is, made of the newest module that is served.
func (c check) database(ctx context.Context) (string, error) {
	cache, err := filepath.Abs(c.cache)
	if err != nil {
		return "", err
	}
	text, err := output(ctx, "go", "mod", "download", "-json", database+"@latest")
	if err != nil {
		kept, globErr := filepath.Glob(filepath.Join(cache, "v*"))
		if globErr != nil || len(kept) == 0 {
			return "", err
		}
		fmt.Fprintf(c.out, "the newest database cannot be fetched, an older one is used: %v\n", err)
		return slices.Max(kept), nil // versions are timestamps
	}
	var module struct{ Version, Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return "", err
	}
	if module.Version == "" || module.Dir == "" {
		return "", errors.New("go mod download tells no version of " + database)
	}
	folder := filepath.Join(cache, module.Version)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	fmt.Fprintf(c.out, "making the database of %s\n", module.Version)
	return folder, index(ctx, module.Version, filepath.Join(module.Dir, "data", "osv"), folder)
}

// index makes a database of a folder of vulnerabilities, and takes away those from before. What is interrupted leaves none.
func index(ctx context.Context, version, vulnerabilities, folder string) error {
	cache := filepath.Dir(folder)
	before, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	made, err := os.MkdirTemp(cache, ".making")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	if _, err := output(ctx, "go", "run", database+"/cmd/indexdb@"+version, "-vulns", vulnerabilities, "-out", made); err != nil {
		return err
	}
	if err := os.Rename(made, folder); err != nil {
		return err
	}
	for _, old := range before {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	return nil
}

// output runs a command and returns what it prints. The error has what it says of its failure.
func output(ctx context.Context, name string, arguments ...string) ([]byte, error) {
	var problems bytes.Buffer
	command := exec.CommandContext(ctx, name, arguments...)
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		said := strings.TrimSpace(problems.String() + "\n" + string(out[:min(len(out), 2000)]))
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, said)
	}
	return out, nil
}
