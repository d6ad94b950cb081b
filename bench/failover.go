package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"countersign/internal/jose"
)

// failover is the run that kills: the whole server under load, with two tokens that hold the same keys, one of whose
// worker processes is killed every second.
type failover struct {
	Flows, Failed, Killed, WrongSignatures int
	// Longest is what the slowest flow took, P99 what 99 of 100 took at most.
	P99, Longest time.Duration
}

// killReplicas starts the server and keeps it busy for some time. An error says what failed first.
func (m *machine) killReplicas(ctx context.Context, length time.Duration) (failover, error) {
	var total failover
	m.replica = true
	s := &server{name: "countersign sqlite PS256", alg: "PS256"}
	defer func() {
		if s.stop != nil {
			s.stop()
		}
	}()
	if err := countersign("sqlite")(ctx, m, s); err != nil {
		return total, err
	}
	if err := s.prepare(ctx, m.workers); err != nil {
		return total, err
	}
	keys, err := s.keySet(ctx)
	if err != nil {
		return total, err
	}
	if workers := s.signers(); len(workers) != 2 {
		return total, fmt.Errorf("%d worker processes run, not 2", len(workers))
	}
	loaded, stop := context.WithTimeout(ctx, length)
	defer stop()
	var (
		mu    sync.Mutex
		took  []time.Duration
		first error
		all   sync.WaitGroup
	)
	for _, a := range s.actors {
		all.Go(func() {
			for loaded.Err() == nil {
				began := time.Now()
				err := a.flowStep(ctx)
				elapsed := time.Since(began)
				wrong := 0
				for _, token := range a.tokens {
					if err == nil && !verifies(keys, token) {
						wrong++
					}
				}
				mu.Lock()
				total.Flows++
				total.WrongSignatures += wrong
				took = append(took, elapsed)
				if err != nil {
					total.Failed++
					first = errors.Join(first, err)
				}
				mu.Unlock()
			}
		})
	}
	total.Killed = s.killInTurn(loaded)
	all.Wait()
	slices.Sort(took)
	total.P99, total.Longest = quantile(took, 99), quantile(took, 100)
	return total, first
}

// killInTurn kills one worker process every second, each replica's in its turn, until ctx ends.
func (s *server) killInTurn(ctx context.Context) (killed int) {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return killed
		case <-ticks.C:
		}
		// The older one: the other is the one that was started anew last.
		if workers := s.signers(); len(workers) == 2 && syscall.Kill(slices.Min(workers), syscall.SIGKILL) == nil {
			killed++
		}
		fmt.Fprintf(os.Stderr, "\rkilled %d times", killed)
	}
}

// signers are the process ids of the server's PKCS#11 workers.
func (s *server) signers() []int {
	var found []int
	for _, p := range tree(s.processes) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.id))
		if err == nil && bytes.Contains(line, []byte("\x00pkcs11-worker\x00")) {
			found = append(found, p.id)
		}
	}
	return found
}

// keySet fetches the published keys.
func (s *server) keySet(ctx context.Context) (jose.KeySet, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer+"/jwks", nil)
	if err != nil {
		return jose.KeySet{}, err
	}
	response, err := s.actors[0].http.Do(request)
	if err != nil {
		return jose.KeySet{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return jose.KeySet{}, err
	}
	return jose.ParseKeySet(raw)
}

// verifies tells whether a token is signed with a published key.
func verifies(keys jose.KeySet, token string) bool {
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	return err == nil && parsed.VerifyWith(keys) == nil
}

// addReplica copies the token and names the copy in the configuration.
func addReplica(folder, file string) error {
	copied := filepath.Join(folder, "replica")
	if err := os.CopyFS(filepath.Join(copied, "tokens"), os.DirFS(filepath.Join(folder, "hsm", "tokens"))); err != nil {
		return err
	}
	settings := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(copied, "tokens"))
	place := filepath.Join(copied, "softhsm2.conf")
	if err := os.WriteFile(place, []byte(settings), 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\n[[signer.replicas]]\ntoken = \"countersign\"\n[signer.replicas.environment]\nSOFTHSM2_CONF = %q\n", place)
	return errors.Join(err, f.Close())
}

func (f failover) String() string {
	return fmt.Sprintf("%d flows, %d signatures and more; %d workers killed; %d requests failed; %d wrong signatures; p99 %s, longest %s",
		f.Flows, 2*f.Flows, f.Killed, f.Failed, f.WrongSignatures, f.P99.Round(time.Millisecond), f.Longest.Round(time.Millisecond))
}
