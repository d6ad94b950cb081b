package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"countersign/bench/servers"
	"countersign/bench/torture/history"
)

// failover is what a run came to in which the worker processes of HSM replicas were killed.
type failover struct {
	flows, failed, killed, wrongSignatures int
	// longest is what the slowest flow took, p99 what 99 of 100 took at most.
	p99, longest time.Duration
	verdict      history.Verdict
	// first is the first failure.
	first error
}

// runReplicas runs and prints the fault run of the replicas.
func (s settings) runReplicas(ctx context.Context, lab *servers.Lab) error {
	total, err := s.killReplicas(ctx, lab)
	fmt.Println(total)
	if err != nil {
		return err
	}
	return total.faults()
}

// killReplicas keeps a server busy that has two tokens with the same keys, and kills one of their worker processes again
// and again.
func (s settings) killReplicas(ctx context.Context, lab *servers.Lab) (failover, error) {
	var total failover
	server := &servers.Server{Name: "countersign sqlite PS256", Alg: "PS256"}
	defer server.Close()
	if _, err := lab.Countersign(ctx, server, servers.Options{Replica: true}); err != nil {
		return total, err
	}
	client, err := server.NewClient(time.Now)
	if err != nil {
		return total, err
	}
	keys, _, err := client.Keys(ctx)
	if err != nil {
		return total, err
	}
	if workers := server.Signers(); len(workers) != 2 {
		return total, fmt.Errorf("%d worker processes run, not 2", len(workers))
	}
	l := &load{server: server, workers: s.workers, tries: 1, keys: &keys}
	err = l.run(ctx, func(ctx context.Context) error {
		limited, stop := context.WithTimeout(ctx, s.length)
		defer stop()
		_, err := schedule{count: -1, every: s.every, steady: true}.run(limited, func() (bool, error) {
			// The older one: the other is the one that was started last.
			workers := server.Signers()
			hit := len(workers) == 2 && syscall.Kill(workers[0], syscall.SIGKILL) == nil
			if hit {
				total.killed++
			}
			fmt.Fprintf(os.Stderr, "\rkilled %d times", total.killed)
			return hit, nil
		})
		return err
	})
	if err != nil {
		return total, err
	}
	total.flows, total.failed, total.wrongSignatures, total.first = len(l.took), l.failed, l.wrongSignatures, l.first
	slices.Sort(l.took)
	if n := len(l.took); n > 0 {
		total.p99, total.longest = l.took[(n*99+99)/100-1], l.took[n-1]
	}
	total.verdict, err = l.journal.verdict()
	return total, err
}

// String is the line at the end of a run.
func (f failover) String() string {
	return fmt.Sprintf("%d flows, %d signatures and more; %d workers killed; %d requests failed; %d wrong signatures; p99 %s, longest %s",
		f.flows, 2*f.flows, f.killed, f.failed, f.wrongSignatures, f.p99.Round(time.Millisecond), f.longest.Round(time.Millisecond))
}

// faults is an error when the run has shown one, or has not shown what it was to show.
func (f failover) faults() error {
	if err := f.verdict.Err(); err != nil {
		return err
	}
	if f.first != nil {
		return f.first
	}
	if f.wrongSignatures > 0 || f.killed == 0 || f.flows == 0 {
		return errors.New("that must not be")
	}
	return nil
}
