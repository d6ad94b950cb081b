package main

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to tamper with PostgreSQL
	_ "github.com/mattn/go-sqlite3"    // to tamper with SQLite

	"countersign/internal/audit"
	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/jose"
	"countersign/store"
)

// auditedInstallation has a log of two stretches, each sealed by a server that ended, and a connection for who tampers.
type auditedInstallation struct {
	*installation
	db *sql.DB
	// logs are those of the servers, which hold the checkpoints.
	logs string
	node string
}

func newAuditedInstallation(t *testing.T, driver string) *auditedInstallation {
	t.Helper()
	i := &auditedInstallation{installation: newInstallation(t)}
	name, address := "sqlite3", filepath.Join(i.folder, "countersign.db")
	if driver == "postgres" {
		name, address = "pgx", i.onPostgres()
		i.countersign(0, "init", "--dev", "--dir", i.folder)
	}
	var err error
	if i.db, err = sql.Open(name, address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.db.Close() })
	if i.node, err = os.Hostname(); err != nil {
		t.Fatal(err)
	}
	i.record(3)
	i.logs = i.sealed()
	i.record(2)
	i.logs += i.sealed()
	return i
}

// countersign runs a command that has to end with a code, and gives what it wrote.
func (i *auditedInstallation) countersign(code int, arguments ...string) string {
	i.t.Helper()
	command := exec.Command("countersign", arguments...)
	command.Env = append(os.Environ(), "COUNTERSIGN_CONFIG="+i.config())
	output, err := command.CombinedOutput()
	if got := command.ProcessState.ExitCode(); got != code {
		i.t.Fatalf("%v ended with %d (%v), want %d:\n%s", arguments, got, err, code, output)
	}
	return string(output)
}

// sealed runs a server, which appends what waits and seals it when it ends.
func (i *auditedInstallation) sealed() string {
	i.t.Helper()
	server := i.serve()
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		i.t.Fatalf("the server ended with %d:\n%s", code, server.logs)
	}
	return server.logs.String()
}

// record keeps signed requests as a server would.
func (i *auditedInstallation) record(count int) {
	i.t.Helper()
	c, err := config.Load(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	d, err := database.New(c, time.Now, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	s, err := d.Open(i.t.Context())
	if err != nil {
		i.t.Fatal(err)
	}
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		i.t.Fatal(err)
	}
	for number := range count {
		signed, err := jose.Sign(i.t.Context(), key.SigningKey(), "oauth-authz-req+jwt", map[string]any{"state": fmt.Sprint(number)})
		if err != nil {
			i.t.Fatal(err)
		}
		message, err := audit.NewMessage(signed)
		if err != nil {
			i.t.Fatal(err)
		}
		body, err := json.Marshal(audit.Event{
			Kind: audit.RequestObject, ClientID: "app", Key: key.Key().Thumbprint(), JWK: key.PublicJWK(), Message: message,
		})
		if err != nil {
			i.t.Fatal(err)
		}
		if err := s.Record(i.t.Context(), store.Evidence{Chain: i.node, At: time.Now(), Body: body}); err != nil {
			i.t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		i.t.Fatal(err)
	}
}

func (i *auditedInstallation) execute(statements ...string) {
	i.t.Helper()
	for _, statement := range statements {
		if _, err := i.db.Exec(statement); err != nil {
			i.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Covers: MS-11. Whoever can write to the database, and has no key, leaves traces: each is found and named.
func TestMS11TamperedDatabase(t *testing.T) {
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			i := newAuditedInstallation(t, driver)
			kept := filepath.Join(t.TempDir(), "server.log")
			if err := os.WriteFile(kept, []byte(i.logs), 0o600); err != nil {
				t.Fatal(err)
			}
			i.execute("CREATE TABLE untouched AS SELECT * FROM audit_log")
			t.Run("accepts the untouched log", func(t *testing.T) {
				if output := i.countersign(0, "audit", "verify", "--checkpoint", kept); !strings.Contains(output, "0 not sealed by a checkpoint yet, 0 not in a chain yet") {
					t.Error(output)
				}
			})
			last := i.last()
			for name, tampered := range map[string]struct {
				statements []string
				want       string
			}{
				"one deleted":           {[]string{"DELETE FROM audit_log WHERE sequence = 2"}, `entry 2: deleted`},
				"one changed":           {[]string{"UPDATE audit_log SET line = replace(line, '\"app\"', '\"cap\"') WHERE sequence = 2"}, `entry 2: changed`},
				"a message exchanged":   {[]string{"UPDATE audit_log SET personal = replace(personal, 'eyJ', 'eyK') WHERE sequence = 2"}, `entry 2: unproven`},
				"made unreadable":       {[]string{"UPDATE audit_log SET line = '{}' WHERE sequence = 2"}, `entry 2: changed`},
				"two exchanged":         {[]string{"UPDATE audit_log SET sequence = 1000 WHERE sequence = 2", "UPDATE audit_log SET sequence = 2 WHERE sequence = 3", "UPDATE audit_log SET sequence = 3 WHERE sequence = 1000"}, `entry 2: reordered`},
				"put into another log":  {[]string{"UPDATE audit_log SET chain = 'another' WHERE sequence = 2"}, `node "another", entry 2: reordered`},
				"its beginning cut off": {[]string{"DELETE FROM audit_log WHERE sequence < 4"}, `entries 1 to 3: deleted`},
				"its end cut off":       {[]string{fmt.Sprintf("DELETE FROM audit_log WHERE sequence > %d", last-2)}, fmt.Sprintf(`entries %d to %d: truncated`, last-1, last)},
				"nothing left":          {[]string{"DELETE FROM audit_log"}, fmt.Sprintf(`entries 1 to %d: truncated`, last)},
			} {
				t.Run("refuses "+name, func(t *testing.T) {
					i.execute(tampered.statements...)
					defer i.execute("DELETE FROM audit_log", "INSERT INTO audit_log SELECT * FROM untouched")
					if output := i.countersign(1, "audit", "verify", "--checkpoint", kept); !strings.Contains(output, tampered.want) || strings.Contains(output, "ok ") {
						t.Errorf("want %q:\n%s", tampered.want, output)
					}
				})
			}
			// Covers: KX-15.
			t.Run("accepts what follows a checkpoint that was kept elsewhere, by itself", func(t *testing.T) {
				i.execute("UPDATE audit_log SET line = replace(line, '\"app\"', '\"cap\"') WHERE sequence = 2") // it was verified before
				defer i.execute("DELETE FROM audit_log", "INSERT INTO audit_log SELECT * FROM untouched")
				if output := i.countersign(0, "audit", "verify", "--checkpoint", kept, "--since-checkpoint"); !strings.Contains(output, "were not verified again") {
					t.Error(output)
				}
				i.execute(fmt.Sprintf("DELETE FROM audit_log WHERE sequence > %d", last-2))
				if output := i.countersign(1, "audit", "verify", "--checkpoint", kept, "--since-checkpoint"); !strings.Contains(output, "truncated") {
					t.Error(output)
				}
				i.countersign(2, "audit", "verify", "--since-checkpoint")
			})
			t.Run("accepts a log that was cut off when no checkpoint was kept elsewhere", func(t *testing.T) {
				i.execute(fmt.Sprintf("DELETE FROM audit_log WHERE sequence > %d", last-2))
				defer i.execute("DELETE FROM audit_log", "INSERT INTO audit_log SELECT * FROM untouched")
				i.countersign(0, "audit", "verify") // which is why docs/audit.md wants them kept
			})
			t.Run("refuses checkpoints of another key", func(t *testing.T) {
				uses := map[string]string{"sqlite": `["id_token"]`, "postgres": `{id_token}`}
				i.execute("UPDATE keys SET uses = '" + uses[driver] + "'")
				if output := i.countersign(1, "audit", "verify"); !strings.Contains(output, "unsealed: the checkpoint is not valid") {
					t.Error(output)
				}
			})
		})
	}
}

// last is the number of the last entry of the log.
func (i *auditedInstallation) last() (sequence int) {
	i.t.Helper()
	if err := i.db.QueryRow("SELECT max(sequence) FROM audit_log").Scan(&sequence); err != nil {
		i.t.Fatal(err)
	}
	return sequence
}

// Covers: MS-11. Old parts leave the store for a file, and both verify.
func TestMS11ExportAndDrop(t *testing.T) {
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			i := newAuditedInstallation(t, driver)
			folder := t.TempDir()
			keys, whole, old := filepath.Join(folder, "keys.json"), filepath.Join(folder, "whole.jsonl"), filepath.Join(folder, "old.jsonl")
			if err := os.WriteFile(keys, []byte(i.countersign(0, "audit", "keys")), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Run("accepts a file on any machine", func(t *testing.T) {
				i.countersign(0, "audit", "export", "--out", whole)
				command := exec.Command("countersign", "audit", "verify", "--file", whole, "--jwks", keys)
				command.Dir = folder
				if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "0 not sealed") {
					t.Errorf("%v: %s", err, output)
				}
				if output := i.countersign(0, "audit", "export"); len(strings.Split(output, "\n")) != i.last()+1 {
					t.Errorf("wrote %s", output)
				}
			})
			t.Run("refuses a file that was changed", func(t *testing.T) {
				raw, err := os.ReadFile(whole)
				if err != nil {
					t.Fatal(err)
				}
				lines := strings.SplitAfter(string(raw), "\n")
				changed := filepath.Join(folder, "changed.jsonl")
				if err := os.WriteFile(changed, []byte(strings.Join(slices.Delete(lines, 1, 2), "")), 0o600); err != nil {
					t.Fatal(err)
				}
				if output := i.countersign(1, "audit", "verify", "--file", changed, "--jwks", keys); !strings.Contains(output, "entry 2: deleted") {
					t.Error(output)
				}
				i.countersign(2, "audit", "verify", "--file", whole)
				i.countersign(1, "audit", "export", "--out", whole)
			})
			t.Run("accepts what is left when old entries were dropped", func(t *testing.T) {
				last, tomorrow := i.last(), time.Now().UTC().Add(24*time.Hour).Format(time.DateOnly)
				i.countersign(1, "audit", "export", "--out", old, "--drop-before", "2020-01-01")
				i.countersign(0, "audit", "export", "--out", old, "--drop-before", tomorrow)
				for range 2 { // before and after the server has chained what says so
					if output := i.countersign(0, "audit", "verify"); !strings.Contains(output, fmt.Sprintf("entries 1 to %d were exported and dropped", last-1)) {
						t.Error(output)
					}
					i.sealed()
				}
				i.countersign(0, "audit", "export", "--out", filepath.Join(folder, "new.jsonl"))
				output := i.countersign(0, "audit", "verify", "--file", old, "--file", filepath.Join(folder, "new.jsonl"), "--jwks", keys)
				if strings.Contains(output, "dropped") {
					t.Errorf("the two files together are whole: %s", output)
				}
			})
			t.Run("refuses what is left when more was taken than exported", func(t *testing.T) {
				i.execute("DELETE FROM audit_log WHERE sequence = (SELECT min(sequence) FROM audit_log)")
				if output := i.countersign(1, "audit", "verify"); !strings.Contains(output, "deleted") {
					t.Error(output)
				}
			})
		})
	}
}

// TestAuditFollow: what operators do is in the log, and new entries are shown as they come.
func TestAuditFollow(t *testing.T) {
	i := newAuditedInstallation(t, "sqlite")
	follow := exec.Command("countersign", "audit", "follow", "--config", i.config())
	output, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	server := i.serve()
	time.Sleep(500 * time.Millisecond) // follow has begun by now
	i.countersign(0, "users", "disable", "bob")
	deadline := time.After(20 * time.Second)
	for seen := false; !seen; {
		select {
		case line := <-lines:
			entry, err := audit.ParseEntry([]byte(line))
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			seen = entry.Kind == audit.SecurityEvent && entry.Detail["event"] == "user_put" && entry.Detail["disabled"] == "true" && entry.Detail["by"] != ""
		case <-deadline:
			t.Fatal("the event did not come")
		}
	}
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range lines { // until it has ended
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("follow ended with %v", err)
	}
	server.signal(syscall.SIGTERM)
	server.wait()
	i.countersign(0, "audit", "verify")
}

// Covers: KA-08, KA-09. Whom the log is about is erased on the command line, in both stores, and verify proves what is left.
func TestAuditErase(t *testing.T) {
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			i := newAuditedInstallation(t, driver)
			i.countersign(0, "users", "disable", "bob")
			i.countersign(0, "users", "disable", "alice")
			i.sealed()
			var bob string
			for line := range strings.Lines(i.countersign(0, "users", "list", "--json")) {
				var user struct {
					Subject  string `json:"sub"`
					Username string `json:"username"`
				}
				if err := json.Unmarshal([]byte(line), &user); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if user.Username == "bob" {
					bob = user.Subject
				}
			}
			has := func() (of, personal int) {
				t.Helper()
				if err := i.db.QueryRow("SELECT count(*) FROM audit_log WHERE personal LIKE '%" + bob + "%' OR line LIKE '%" + bob + "%'").Scan(&of); err != nil {
					t.Fatal(err)
				}
				if err := i.db.QueryRow("SELECT count(*) FROM audit_log WHERE personal IS NOT NULL").Scan(&personal); err != nil {
					t.Fatal(err)
				}
				return of, personal
			}
			of, personal := has()
			if bob == "" || of == 0 || personal <= of {
				t.Fatalf("of %q are %d of %d", bob, of, personal)
			}
			t.Run("refuses without saying what, or with both, or no day", func(t *testing.T) {
				i.countersign(2, "audit", "erase", "--yes")
				i.countersign(2, "audit", "erase", "--subject", bob, "--before", "2026-01-01", "--yes")
				i.countersign(2, "audit", "erase", "--before", "yesterday", "--yes")
			})
			t.Run("refuses without a confirmation, and changes nothing with --dry-run", func(t *testing.T) {
				i.countersign(1, "audit", "erase", "--subject", bob)
				if output := i.countersign(0, "audit", "erase", "--subject", bob, "--dry-run"); !strings.Contains(output, "nothing was changed") {
					t.Error(output)
				}
				if after, _ := has(); after != of {
					t.Errorf("%d are left of %d", after, of)
				}
			})
			t.Run("accepts the subject", func(t *testing.T) {
				i.countersign(0, "audit", "erase", "--subject", bob, "--yes")
				if after, others := has(); after != 0 || others != personal-of {
					t.Errorf("%d are left, and %d others of %d", after, others, personal-of)
				}
				for range 2 { // before and after the server has chained what says so
					if output := i.countersign(0, "audit", "verify"); !strings.Contains(output, "it was erased whom they are about, and the log says so") || !strings.Contains(output, "ok ") {
						t.Error(output)
					}
					i.sealed()
				}
				if output := i.countersign(0, "audit", "export"); strings.Contains(output, bob) || !strings.Contains(output, `"event":"audit_erased"`) {
					t.Error(output)
				}
			})
			t.Run("accepts all before a day", func(t *testing.T) {
				tomorrow := time.Now().UTC().Add(24 * time.Hour).Format(time.DateOnly)
				i.countersign(0, "audit", "erase", "--before", tomorrow, "--yes")
				if _, left := has(); left != 0 {
					t.Errorf("%d are left", left)
				}
				i.countersign(0, "audit", "verify")
			})
			t.Run("refuses what was taken away without a record", func(t *testing.T) {
				i.countersign(0, "users", "enable", "alice")
				i.sealed()
				i.execute("UPDATE audit_log SET personal = NULL WHERE personal IS NOT NULL")
				if output := i.countersign(1, "audit", "verify"); !strings.Contains(output, "incomplete: what it had about a person is missing") {
					t.Error(output)
				}
			})
		})
	}
}
