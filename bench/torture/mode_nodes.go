package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"countersign/bench/measure"
	"countersign/bench/servers"
	"countersign/bench/torture/history"
)

// survival is what a run came to in which nodes were killed under load.
type survival struct {
	nodes, killed, flows int
	// redeemed redemptions were acknowledged, raced are codes that were redeemed several times at once, unanswered the
	// requests that got no answer or a 503.
	redeemed, raced, unanswered int
	verdict                     history.Verdict
}

// runNodes races for one-time things through the endpoints of two nodes and of node-oidc-provider, kills nodes under load,
// and prints what that came to.
func (s settings) runNodes(ctx context.Context, lab *servers.Lab) error {
	ours := &servers.Server{Name: "countersign, two nodes", Alg: "PS256"}
	defer ours.Close()
	fmt.Println("starting", ours.Name)
	installation, err := lab.Countersign(ctx, ours, servers.Options{Postgres: true})
	if err != nil {
		return err
	}
	if _, err := installation.AddNode(ctx, ours); err != nil {
		return err
	}
	var peerCame []outcome
	peer := &servers.Server{Name: "node-oidc-provider 9.13.3, one node", Alg: "PS256", Rotates: true}
	defer peer.Close()
	if s.peer {
		fmt.Println("starting", peer.Name)
		if err := lab.NodeOIDCProvider(ctx, peer, "ADAPTER=asynchronous", "ROTATE=yes"); err != nil {
			return err
		}
		if peerCame, err = prove(ctx, peer, s.trials); err != nil {
			return fmt.Errorf("%s: %w", peer.Name, err)
		}
	}
	came, err := prove(ctx, ours, s.trials)
	if err != nil {
		return fmt.Errorf("%s: %w", ours.Name, err)
	}
	table := compared(ours.Name, came, peer.Name, peerCame)
	fmt.Println(table)
	if _, err := installation.AddNode(ctx, ours); err != nil {
		return err
	}
	survived, err := s.surviveKills(ctx, ours)
	if err != nil {
		return err
	}
	fmt.Println(survived.markdown())
	if s.write != "" {
		page := filepath.Join(s.write, "reliability.md")
		err = errors.Join(measure.WritePart(page, "peers", table), measure.WritePart(page, "nodes", survived.markdown()))
	}
	return errors.Join(err, raceFaults(came), survived.faults(s.kills))
}

// surviveKills has clients go through flows by way of all nodes, while all but the first are killed and started again.
// Then it looks whether all that was acknowledged is there.
func (s settings) surviveKills(ctx context.Context, server *servers.Server) (survival, error) {
	l := &load{server: server, workers: 6, tries: parallel}
	total := survival{nodes: len(server.Nodes)}
	err := l.run(ctx, func(ctx context.Context) error {
		kills, err := schedule{count: s.kills, every: s.every}.run(ctx, func() (bool, error) {
			n := server.Nodes[1+total.killed%(len(server.Nodes)-1)]
			n.Kill()
			total.killed++
			return true, n.Start(ctx)
		})
		total.killed = len(kills)
		return err
	})
	if err != nil {
		return total, err
	}
	l.look(ctx)
	total.flows, total.redeemed, total.raced, total.unanswered = len(l.took), l.redeemed, l.raced, l.unanswered
	total.verdict, err = l.journal.verdict()
	return total, err
}

func (t survival) markdown() string {
	return fmt.Sprintf(`| | |
|---|--:|
| nodes of `+"`countersign serve`"+`, one PostgreSQL | %d |
| nodes killed (kill -9) under load | %d |
| flows begun | %d |
| redemptions acknowledged | %d |
| codes redeemed by all nodes at once | %d |
| requests without an answer, or with a 503 | %d |
| **codes redeemed twice** | %d |
| **acknowledged and lost** | %d |
| **revoked and back** | %d |`, t.nodes, t.killed, t.flows, t.redeemed, t.raced, t.unanswered,
		t.verdict.Of(history.DoubleSuccess), t.verdict.Of(history.LostWrite), t.verdict.Of(history.Resurrected))
}

// faults is an error when the run has shown one, or has not shown what it was to show.
func (t survival) faults(kills int) error {
	if err := t.verdict.Err(); err != nil {
		return err
	}
	if t.killed < kills || t.raced == 0 || t.redeemed == 0 {
		return errors.New("not all was done")
	}
	return nil
}
