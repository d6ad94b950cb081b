package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// command is a line with this program's name behind a prompt.
var command = regexp.MustCompile(`^[$#] (?:\(umask 077; )?(?:\S*/)?countersign (.*)$`)

// commandLines are the command lines of this program in the listings of a page: those behind a prompt, whole.
func commandLines(t *testing.T, page string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, listing := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(strings.ReplaceAll(listing[1], "\\\n", " ")) {
			if found := command.FindStringSubmatch(strings.TrimSpace(line)); found != nil {
				lines = append(lines, found[1])
			}
		}
	}
	return lines
}

// words are those of a command line, as a shell would part them, as far as the documentation goes: quotes, a comment, a pipe, a
// redirection, and a parenthesis end it.
func words(line string) []string {
	var all []string
	for _, found := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		word := found[1] + found[2]
		if found[2] != "" && strings.ContainsAny(word[:1], "#|>)&") {
			break
		}
		all = append(all, strings.TrimRight(word, ")"))
	}
	return all
}

// parse reads a command line and does nothing.
func parse(arguments []string) error {
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, now: time.Now}
	_, err := newParser(context.Background(), &commands{}, p).Parse(flagKeyIDs(arguments))
	return err
}

// Covers: FD-137. TestFD137Docs: the commands of the documentation are commands.
func TestFD137Docs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range append(pages, "../../README.md") {
		for _, line := range commandLines(t, page) {
			count++
			t.Run("accepts "+line, func(t *testing.T) {
				if err := parse(words(line)); err != nil && !strings.Contains(err.Error(), "no such file") {
					t.Errorf("%s: %v", filepath.Base(page), err)
				}
			})
		}
	}
	if count < 40 {
		t.Errorf("%d commands were found", count)
	}
	for _, line := range []string{"clients ad app --file app.json", "people export", "keys list --jsn", "init --issuer"} {
		t.Run("refuses "+line, func(t *testing.T) {
			if err := parse(words(line)); err == nil {
				t.Error("it is a command")
			}
		})
	}
}

// Covers: FD-137. TestFD137FirstCommand: the first command of docs/operations.md works as it is written, and what it writes is
// complete but for the files that it names.
func TestFD137FirstCommand(t *testing.T) {
	lines := commandLines(t, "../../docs/operations.md")
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "init ") })
	if at != 0 {
		t.Fatalf("init is command %d", at)
	}
	folder, owner := filepath.Join(t.TempDir(), "etc"), "nobody"
	if os.Geteuid() != 0 {
		current, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		owner = current.Username
	}
	arguments := words(lines[at])
	for i, word := range arguments {
		switch {
		case word == "/etc/countersign":
			arguments[i] = folder
		case arguments[max(0, i-1)] == "--owner":
			arguments[i] = owner
		}
	}
	output, err := exec.Command("countersign", arguments...).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "wrote ") {
		t.Fatalf("%v: %s", err, output)
	}
	config := filepath.Join(folder, "countersign.toml")
	out, err := exec.Command("countersign", "config", "print", "--values-only", "--config", config).Output()
	for _, want := range []string{`issuer = "https://id.bank.example"`, `pin_file = "/etc/countersign/pin"`, `file = "/var/lib/countersign/countersign.db"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %s is not in %s", err, want, out)
		}
	}
	// What init prints is to be run next: it names the configuration.
	for line := range strings.Lines(string(output)) {
		if next, ok := strings.CutPrefix(strings.TrimSpace(line), "countersign "); ok {
			if err := parse(words(next)); err != nil {
				t.Errorf("%s: %v", next, err)
			}
		}
	}
}
