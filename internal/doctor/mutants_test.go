package doctor_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/serve"
)

// setting is a line of a configuration with a value, in effect or behind #.
var setting = regexp.MustCompile(`^(?:# )?([a-z_]+) = (.+)$`)

// values are what a value may be changed to, by its kind.
func valuesLike(value string) []string {
	switch {
	case value == "true" || value == "false":
		return []string{"true", "false"}
	case strings.HasPrefix(value, `"`) && regexp.MustCompile(`^"\d+(ms|s|m|h|d)"$`).MatchString(value):
		return []string{`"0s"`, `"1s"`, `"61s"`, `"26h"`, `"400d"`, `"soon"`}
	case strings.HasPrefix(value, `"`):
		return []string{
			`""`, `"x"`, `"absent/file"`, `"https://login.example"`, `"http://localhost:1"`, `"127.0.0.1:0"`, `"192.0.2.1:1"`, `"fapi1-advanced"`, `"fapi2-message-signing"`,
			`"ES256"`, `"EdDSA"`, `"all"`, `"10.0.0.0/8"`, `"tls/server.crt"`, `"tls/client-ca.crt"`, `"ping.keys"`, `"debug"`, `"postgres"`,
		}
	}
	return []string{"0", "1", "7", "1000", "100000000", "-1"}
}

// mutant is the configuration with changed lines, and what was changed.
func mutant(text string, random *rand.Rand) (changed, what string) {
	lines := strings.Split(text, "\n")
	for range 1 + random.IntN(3)/2 {
		for {
			at := random.IntN(len(lines))
			found := setting.FindStringSubmatch(lines[at])
			if found == nil {
				continue
			}
			values := valuesLike(found[2])
			lines[at] = found[1] + " = " + values[random.IntN(len(values))]
			what += lines[at] + "; "
			break
		}
	}
	return strings.Join(lines, "\n"), what
}

// readyLog ends a server when it is ready.
type readyLog struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready bool
	stop  context.CancelFunc
}

// Write implements [io.Writer].
func (l *readyLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(string(p), "msg=ready ") || strings.Contains(string(p), `"msg":"ready"`) {
		l.ready = true
		l.stop()
	}
	return l.text.Write(p)
}

// starts reports whether a server with a configuration becomes ready, and why not.
func starts(t *testing.T, c *config.Config) (bool, string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	log := &readyLog{stop: stop}
	err := serve.Run(ctx, serve.Options{Config: c, Now: time.Now, Log: log, Version: "test"})
	log.mu.Lock()
	defer log.mu.Unlock()
	return log.ready, fmt.Sprint(err, "\n", log.text.String())
}

// runs are the topics of what a server can start with, and is wrong all the same.
var runs = regexp.MustCompile(`^FAIL (tls|clock|clients|issuer|directories|consents|claims|audit) `)

// TestNM146Mutants: of sixty configurations or more with one or two values changed, doctor passes those with which the server starts and no
// other; where the server starts all the same, what fails is of a kind that does not keep it from starting.
// Covers: NM-146.
func TestNM146Mutants(t *testing.T) {
	i := setuptest.New(t)
	whole, err := os.ReadFile(i.File)
	if err != nil {
		t.Fatal(err)
	}
	// Level info, so that the line is written by which a test sees that the server is ready.
	text := strings.ReplaceAll(string(whole), `# log_level = "info"`, "")
	random := rand.New(rand.NewPCG(7, 11))
	passed, refused := 0, 0
	var problems []string
	// Which are drawn depends on the keys that there are: some more where too few of a kind came.
	for n := 0; n < 60 || n < 200 && (passed < 8 || refused < 8); n++ {
		changed, what := mutant(text, random)
		if n == 0 {
			changed, what = text, "nothing"
		}
		if err := os.WriteFile(i.File, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(i.File)
		if err != nil {
			refused++ // by every command alike
			continue
		}
		lines, failed := examined(t, c, time.Now())
		started, why := starts(t, c)
		if !failed && !started {
			problems = append(problems, fmt.Sprintf("%s: doctor passes it, and the server says %s", what, why))
		}
		if failed && started {
			for line := range strings.Lines(lines) {
				if strings.HasPrefix(line, "FAIL") && !runs.MatchString(line) {
					problems = append(problems, fmt.Sprintf("%s: the server starts, and doctor says %s", what, line))
				}
			}
		}
		if started {
			passed++
		} else {
			refused++
		}
	}
	t.Run("accepts what the server starts with", func(t *testing.T) {
		if passed < 8 {
			t.Errorf("%d start", passed)
		}
		for _, problem := range problems {
			t.Error(problem)
		}
	})
	t.Run("refuses what it does not start with", func(t *testing.T) {
		if refused < 8 {
			t.Errorf("%d do not start", refused)
		}
		for _, problem := range problems {
			t.Error(problem)
		}
	})
}
