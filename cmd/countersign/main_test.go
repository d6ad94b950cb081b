package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/internal/postgrestest"
	"countersign/softhsm"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"countersign": main})
}

// cluster is the PostgreSQL server of the tests that need one.
var cluster postgrestest.Cluster

// tests stops the cluster at the end.
type tests struct{ *testing.M }

// Run implements testscript.TestingM.
func (t tests) Run() int { return cluster.Run(t.M, &failing) }

// TestScripts runs the command line sessions of testdata/script, with a real SoftHSM2.
func TestScripts(t *testing.T) {
	if _, err := softhsm.Module(); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			ports, err := freePorts(3)
			if err != nil {
				return err
			}
			env.Setenv("PORT", ports[0])
			env.Setenv("MTLS_PORT", ports[1])
			env.Setenv("DEMO_PORT", ports[2])
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "mode": mode, "firstfield": firstField,
		},
	})
}

// exits runs a command that must end with an exit code: exits 2 countersign serve.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program arguments...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Check(err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// mode checks the mode of a file: mode 0600 file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode octal file")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode().Perm(); got != fs.FileMode(want) {
		ts.Fatalf("%s has mode %04o, want %04o", args[1], got, want)
	}
}

// firstField sets a variable to the first word of the one line of the last output that matches: firstfield NAME pattern.
func firstField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: firstfield name pattern")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	var found []string
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if pattern.MatchString(line) {
			found = append(found, strings.Fields(line)[0])
		}
	}
	if len(found) != 1 {
		ts.Fatalf("%d lines match %s", len(found), args[1])
	}
	ts.Setenv(args[0], found[0])
}

// TestHelp holds the help of every command to examples, and keeps flags from taking passwords.
func TestHelp(t *testing.T) {
	for _, command := range []string{"serve", "init", "demo", "keys", "clients", "users", "grants", "audit", "migrate", "doctor", "config", "profile", "version"} {
		output, err := exec.Command("countersign", command, "--help").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if want := fmt.Sprintf("countersign %s", command); !strings.Contains(string(output), "Examples:") || !strings.Contains(string(output), want) {
			if !strings.Contains(string(output), "To rotate:") {
				t.Errorf("the help of %s has no examples:\n%s", command, output)
			}
		}
	}
}

// TestFlagKeyIDs: a kid that begins with a hyphen is no flag, wherever it is.
func TestFlagKeyIDs(t *testing.T) {
	id := "-" + strings.Repeat("a-", 21)
	for _, test := range []struct{ given, want []string }{
		{[]string{"keys", "retire", id}, []string{"keys", "retire", "--kid=" + id}},
		{[]string{"keys", "activate", id, "--now"}, []string{"keys", "activate", "--kid=" + id, "--now"}},
		{[]string{"keys", "retire", "--", id}, []string{"keys", "retire", "--", id}},
		{[]string{"keys", "retire", "--kid=" + id}, []string{"keys", "retire", "--kid=" + id}},
		{[]string{"keys", "list", "-h"}, []string{"keys", "list", "-h"}},
		{[]string{"serve", "--config=x"}, []string{"serve", "--config=x"}},
		{nil, nil},
	} {
		if got := flagKeyIDs(test.given); !slices.Equal(got, test.want) {
			t.Errorf("%q became %q, want %q", test.given, got, test.want)
		}
	}
	for _, arguments := range [][]string{{id}, {"--", id}, {"--kid=" + id}} {
		var out, problems strings.Builder
		code := run(append([]string{"keys", "show", "--config=absent.toml"}, arguments...), strings.NewReader(""), &out, &problems)
		if code != exitUsage || !strings.Contains(problems.String(), "absent.toml") {
			t.Errorf("%q ends with %d: %s", arguments, code, &problems)
		}
	}
}

// TestOneKeyID: a kid is given once, as an argument or as a flag.
func TestOneKeyID(t *testing.T) {
	for _, arguments := range [][]string{{}, {"a", "--kid=b"}} {
		var out, problems strings.Builder
		code := run(append([]string{"keys", "retire", "--config=absent.toml"}, arguments...), strings.NewReader(""), &out, &problems)
		if code != exitUsage || !strings.Contains(problems.String(), "give one kid") {
			t.Errorf("%q ends with %d: %s", arguments, code, &problems)
		}
	}
}
