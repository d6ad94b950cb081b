package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/store"
)

// Backend is how a test makes a database and how any process opens it.
type Backend struct {
	// Create makes an empty database for one test and returns its address.
	Create func(t *testing.T) (address string)
	// Open opens the database at address.
	Open func(ctx context.Context, address string, now func() time.Time) (store.Store, error)
	// Previous is a program that was built from the release before and takes the same orders as our own children, or
	// empty; see [Backend.Rolling].
	Previous string
}

// New opens a store with a database of its own, as [Run] wants it.
func (b Backend) New(t *testing.T, now func() time.Time) store.Store {
	t.Helper()
	return b.open(t, b.Create(t), now)
}

func (b Backend) open(t *testing.T, address string, now func() time.Time) store.Store {
	t.Helper()
	s, err := b.Open(t.Context(), address, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// childVariable holds the order of a child process. The test binary starts itself again as its children.
const childVariable = "STORETEST_CHILD"

// order is what a child process shall do.
type order struct {
	Role    string
	Address string
	// Number distinguishes the children of one test.
	Number int
}

// Child makes this process one of the children of [Backend.Processes] if it was started as one, and does not
// return then. TestMain calls it first.
func (b Backend) Child() {
	encoded, isChild := os.LookupEnv(childVariable)
	if !isChild {
		return
	}
	if err := b.obey(encoded); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (b Backend) obey(encoded string) error {
	var o order
	if err := json.Unmarshal([]byte(encoded), &o); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := b.Open(ctx, o.Address, time.Now)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	roles := map[string]func(context.Context, store.Store, int) error{
		"redeem": redeemAll,
		"use":    useAll,
		"access": accessAll,
		"write":  writeOn,
	}
	return errors.Join(roles[o.Role](ctx, s, o.Number), s.Close())
}

// child is a child process as its parent sees it.
type child struct {
	command *exec.Cmd
	output  *bufio.Scanner
	errors  strings.Builder
	input   *os.File
}

// start starts a child and waits until it is ready to go.
func start(t *testing.T, o order) *child {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startProgram(t, executable, o)
}

func startProgram(t *testing.T, executable string, o order) *child {
	t.Helper()
	encoded, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{command: exec.Command(executable)}
	c.command.Env = append(os.Environ(), childVariable+"="+string(encoded))
	c.command.Stderr = &c.errors
	output, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.output = bufio.NewScanner(output)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.command.Stdin, c.input = read, write
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.command.Process.Kill() // in case the test ended before the child
		_ = write.Close()
	})
	_ = read.Close()
	if !c.output.Scan() || c.output.Text() != "ready" {
		t.Fatalf("the child did not start: %v\n%s", c.command.Wait(), c.errors.String())
	}
	return c
}

// release lets the child go on from being ready.
func (c *child) release(t *testing.T) {
	t.Helper()
	if _, err := c.input.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
}

// lines reads the child's output until its end.
func (c *child) lines() (lines []string) {
	for c.output.Scan() {
		lines = append(lines, c.output.Text())
	}
	return lines
}

// Processes races processes against each other on one database, kills them while they write, and closes the store
// under their hands. What was acknowledged must be there afterwards.
func (b Backend) Processes(t *testing.T) {
	t.Run("RaceRedeemCode", b.testProcessesRedeem)
	t.Run("RaceUse", b.testProcessesUse)
	t.Run("RaceAccessGrant", b.testProcessesAccess)
	t.Run("Kill", b.testKill)
	t.Run("Close", b.testClose)
}

// Rolling races processes of the release before against processes of this one, as during a rolling upgrade.
func (b Backend) Rolling(t *testing.T) {
	if b.Previous == "" {
		t.Fatal("there is no program of the release before")
	}
	t.Run("RaceRedeemCode", b.testProcessesRedeem)
	t.Run("RaceUse", b.testProcessesUse)
	t.Run("RaceAccessGrant", b.testProcessesAccess)
}

const (
	processes = 4
	prizes    = 50
)

func prizeCode(i int) store.Digest { return store.DigestOf(fmt.Sprint("code ", i)) }

func prizeToken(child, i int) store.Digest {
	return store.DigestOf(fmt.Sprintf("token %d of child %d", i, child))
}

func prizeUse(i int) store.OneTime {
	return store.OneTime{Kind: "dpop", Key: store.DigestOf(fmt.Sprint("jti ", i)), Until: time.Now().Add(time.Hour)}
}

func redeemAll(ctx context.Context, s store.Store, child int) error {
	return compete(store.ErrConsumed, func(i int) error {
		return s.RedeemCode(ctx, prizeCode(i), store.Issued{AccessToken: store.AccessToken{
			ID: prizeToken(child, i), ExpiresAt: time.Now().Add(time.Hour),
		}})
	})
}

func useAll(ctx context.Context, s store.Store, _ int) error {
	return compete(store.ErrReplayed, func(i int) error { return s.ConsumeOneTime(ctx, prizeUse(i)) })
}

func accessAll(ctx context.Context, s store.Store, _ int) error {
	return compete(store.ErrReplayed, func(i int) error {
		_, err := s.AccessGrant(ctx, prizeToken(0, 0), prizeUse(i))
		return err
	})
}

// compete tries for each prize and prints those that were won.
func compete(lost error, try func(i int) error) error {
	for i := range prizes {
		switch err := try(i); {
		case err == nil:
			fmt.Println(i)
		case !errors.Is(err, lost):
			return err
		}
	}
	return nil
}

// contest runs children against each other and returns which child won each prize.
func (b Backend) contest(t *testing.T, role, address string) (winners map[int]int) {
	t.Helper()
	children := make([]*child, processes)
	for i := range children {
		o := order{Role: role, Address: address, Number: i}
		if b.Previous != "" && i%2 == 1 {
			children[i] = startProgram(t, b.Previous, o)
		} else {
			children[i] = start(t, o)
		}
	}
	for _, c := range children {
		c.release(t)
	}
	winners = map[int]int{}
	for number, c := range children {
		for _, line := range c.lines() {
			var prize int
			if _, err := fmt.Sscan(line, &prize); err != nil {
				t.Fatalf("child %d said %q", number, line)
			}
			if other, taken := winners[prize]; taken {
				t.Errorf("prize %d was won by children %d and %d", prize, other, number)
			}
			winners[prize] = number
		}
		if err := c.command.Wait(); err != nil {
			t.Fatalf("child %d: %v\n%s", number, err, c.errors.String())
		}
	}
	if len(winners) != prizes {
		t.Errorf("%d of %d prizes were won", len(winners), prizes)
	}
	return winners
}

func (b Backend) testProcessesRedeem(t *testing.T) {
	address := b.Create(t)
	f := &fixture{T: t, Store: b.open(t, address, time.Now), clock: &clock{now: time.Now()}}
	for i := range prizes {
		grant := f.grant()
		code := f.code(grant)
		code.ID = prizeCode(i)
		f.granted(grant, code)
	}
	winners := b.contest(t, "redeem", address)
	for i := range prizes {
		_, grant, err := f.CodeGrant(t.Context(), prizeCode(i))
		f.must(err)
		if grant.RevokedAt.IsZero() {
			t.Errorf("code %d was redeemed more than once and its grant is still valid", i)
		}
		for number := range processes {
			_, err := f.AccessGrant(t.Context(), prizeToken(number, i))
			if number == winners[i] {
				f.want(err, store.ErrRevoked)
			} else {
				f.want(err, store.ErrNotFound)
			}
		}
	}
}

func (b Backend) testProcessesUse(t *testing.T) { b.contest(t, "use", b.Create(t)) }

func (b Backend) testProcessesAccess(t *testing.T) {
	address := b.Create(t)
	f := &fixture{T: t, Store: b.open(t, address, time.Now), clock: &clock{now: time.Now()}}
	grant, code := f.withCode()
	f.must(f.RedeemCode(t.Context(), code.ID, store.Issued{AccessToken: store.AccessToken{
		ID: prizeToken(0, 0), GrantID: grant.ID, ExpiresAt: f.clock.Now().Add(time.Hour),
	}}))
	b.contest(t, "access", address)
}

// testClose closes a store under writers: what was acknowledged is there.
func (b Backend) testClose(t *testing.T) {
	address := b.Create(t)
	s, err := b.Open(t.Context(), address, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const writers = 8
	acknowledged := make([][]store.OneTime, writers)
	var running sync.WaitGroup
	begun := make(chan struct{}, 1)
	for i := range writers {
		running.Go(func() {
			for n := 0; ; n++ {
				oneTime := store.OneTime{Kind: "dpop", Key: store.DigestOf(fmt.Sprint(i, " ", n)), Until: time.Now().Add(time.Hour)}
				if err := s.ConsumeOneTime(context.Background(), oneTime); err != nil {
					return // the store is closed
				}
				acknowledged[i] = append(acknowledged[i], oneTime)
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	<-begun
	time.Sleep(20 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	s = b.open(t, address, time.Now)
	for _, oneTimes := range acknowledged {
		for _, oneTime := range oneTimes {
			if err := s.ConsumeOneTime(t.Context(), oneTime); !errors.Is(err, store.ErrReplayed) {
				t.Fatalf("an acknowledged use is gone: %v", err)
			}
		}
	}
}
