package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Covers: NM-225. TestNM225ExitCodes: whatever the command, 0 is that it was done, 1 that it was refused or found a fault, 2 that the
// command line or the configuration is wrong; and each failure is one line on standard error.
func TestNM225ExitCodes(t *testing.T) {
	i := newInstallation(t)
	folder := filepath.Join(i.folder, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(i.folder, "absent")
	i.file("broken.json", "{")
	broken := filepath.Join(i.folder, "broken.json")
	for code, commands := range map[int][]string{
		0: {
			"clients list", "clients show demo-dpop", "users list", "keys list", "grants list", "grants list --client demo-dpop", "consents list --client demo-dpop", "doctor",
			"config check", "config print", "migrate plan", "audit verify", "version", "report --month 2020-01", "backup " + filepath.Join(i.folder, "copy.db"),
		},
		1: {
			"clients show nobody", "clients remove nobody", "clients disable nobody", "clients add x --file " + broken, "users show nobody", "users disable nobody",
			"grants revoke nothing", "grants list --client nobody", "grants consents --client nobody", "consents list --client nobody", "keys retire nothing",
			"why 11111111-2222-3333-4444-555555555555", "people export nobody", "devices list nobody", "check jwks " + broken + " --client nobody", "backup " + broken,
			"keys destroy nothing --operator alice",
		},
		2: {
			"nonsense", "clients", "clients show", "consents list", "clients list --nonsense", "keys rotate --alg RS256", "report --month 2026-13", "users list --issuer nobody",
			"clients add x --file " + absent, "clients add x --file=" + absent, "clients add x --file " + folder, "check assertion " + absent + " --client demo-dpop",
			"restore " + absent, "doctor certificate " + absent, "backup " + absent + "/copy.db", "audit export --out " + absent + "/x", "config print --config " + absent,
			"config print --config " + folder, "serve --config " + folder, "migrate up --config " + absent, "store copy --from x --to y",
		},
	} {
		for _, command := range commands {
			name := "refuses "
			if code == 0 {
				name = "accepts "
			}
			t.Run(name+strings.ReplaceAll(strings.ReplaceAll(command, i.folder, "FOLDER"), "/", "|"), func(t *testing.T) {
				arguments := strings.Fields(command)
				if !strings.Contains(command, "--config") {
					arguments = append(arguments, "--config", i.config())
				}
				out, problems, got := ended(t, arguments...)
				if got != code {
					t.Errorf("%d, want %d: %s%s", got, code, out, problems)
				}
				if code == 2 && (!strings.HasPrefix(problems, "countersign: ") || strings.Count(problems, "\n") != 1) {
					t.Errorf("not one line: %q", problems)
				}
			})
		}
	}
}

// ended runs a command that ends by itself, and soon.
func ended(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "countersign", arguments...)
	var out, problems strings.Builder
	command.Stdout, command.Stderr = &out, &problems
	_ = command.Run() // the exit code says it
	return out.String(), problems.String(), command.ProcessState.ExitCode()
}
