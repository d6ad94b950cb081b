package upgrade

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/internal/postgrestest"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// Covers: NM-128. From the release before to this one, and back, node by node, under load, as docs/operations.md says: the new
// program migrates while the old ones serve, nodes of both serve beside each other, and no flow fails.
func TestNM128RollingUpgrade(t *testing.T) {
	before, now := previousRelease(t), thisRelease(t)
	i := install(t, before, cluster.Database(t))
	a, b := i.nodes[0], i.nodes[1]
	t.Run("refuses to serve by this release before the schema is its own", func(t *testing.T) {
		output, err := run(now, "serve", "--config", a.file)
		if err == nil || !strings.Contains(output, "countersign migrate up") {
			t.Errorf("%v: %s", err, output)
		}
		if plan, err := run(now, "migrate", "plan", "--config", a.file); err != nil || strings.Contains(plan, "stop") {
			t.Errorf("nodes have to be stopped: %v: %s", err, plan)
		}
	})
	i.serve(a, before)
	i.serve(b, before)
	i.balance()
	old, err := i.newParty(i.requests)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := old.flow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := i.begin(t, i.requests, i.through)
	time.Sleep(time.Second)
	steps := []string{}
	did := func(what string, answered int) {
		t.Helper()
		steps = append(steps, what)
		if answered < 5 {
			t.Errorf("%s: what was there before answered %d requests for tokens", what, answered)
		}
	}
	t.Run("accepts the new schema while nodes of the release before serve", func(t *testing.T) {
		if output, err := run(now, "migrate", "up", "--config", a.file); err != nil || !strings.Contains(output, "applied ") {
			t.Errorf("%v: %s", err, output)
		}
		time.Sleep(500 * time.Millisecond)
	})
	did("a to this release", i.replace(a, now))
	t.Run("refuses a code at one release that the other redeemed", func(t *testing.T) { i.redeemTwice(t, b, a) })
	time.Sleep(time.Second)
	did("b to this release", i.replace(b, now))
	t.Run("accepts a refresh token of the release before", func(t *testing.T) {
		if kept, err = old.renew(t.Context(), kept.RefreshToken); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(time.Second)
	did("a back", i.replace(a, before))
	t.Run("refuses a code at the release before that this one redeemed", func(t *testing.T) { i.redeemTwice(t, b, a) })
	did("b back", i.replace(b, before))
	t.Run("accepts, back at the release before, a refresh token of this one", func(t *testing.T) {
		if _, err = old.renew(t.Context(), kept.RefreshToken); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(time.Second)
	l.end()
	t.Run("accepts every flow of four replaced nodes", func(t *testing.T) {
		t.Logf("%d flows, %d failed; %s", l.flows.Load(), l.failed.Load(), strings.Join(steps, ", "))
		if l.flows.Load() < 100 || l.failed.Load() != 0 {
			t.Errorf("%d flows, %d of them failed; want 100 or more, and none", l.flows.Load(), l.failed.Load())
		}
	})
}

// redeemTwice gets a code, redeems it at one node, and tries it at another.
func (i *installation) redeemTwice(t *testing.T, first, second *node) {
	t.Helper()
	parties := [2]*party{}
	for n, at := range []*node{first, second} {
		var err error
		if parties[n], err = i.newParty(at.address); err != nil {
			t.Fatal(err)
		}
	}
	transaction := parties[0].NewTransaction()
	code, err := parties[0].Authorize(t.Context(), parties[0].browser, transaction)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{http.StatusOK, http.StatusBadRequest} {
		reply, err := parties[n].Redeem(t.Context(), transaction, code)
		if err != nil || reply.Status != want || n == 1 && reply.OAuthError().Code != "invalid_grant" {
			t.Errorf("try %d: %d %s, %v; want %d", n, reply.Status, reply.Body, err, want)
		}
	}
}
