package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"countersign/bench/servers"
)

// slot is the place of a process of players. When it is killed, another takes its place.
type slot struct {
	node
	index int
	// folder is where the histories are.
	folder string

	mu         sync.Mutex
	process    *servers.Process
	orders     io.WriteCloser
	answers    *bufio.Scanner
	generation int
	killed     int
}

// start starts a process and waits until it is ready.
func (s *slot) start(ctx context.Context) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	s.mu.Lock()
	next := s.generation + 1
	s.mu.Unlock()
	n := s.node
	n.History = filepath.Join(s.folder, fmt.Sprintf("node%d.%d.history", s.index, next))
	encoded, err := json.Marshal(n)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, executable)
	command.Env = append(os.Environ(), workerVariable+"="+string(encoded))
	command.Stderr = os.Stderr
	orders, err := command.StdinPipe()
	if err != nil {
		return err
	}
	answers, child, err := os.Pipe() // one of the command's own would be closed before all is read
	if err != nil {
		return err
	}
	command.Stdout = child
	started, err := servers.Run(command, "")
	child.Close()
	if err != nil {
		answers.Close()
		return err
	}
	scanner := bufio.NewScanner(answers)
	if !scanner.Scan() {
		return fmt.Errorf("node %d did not start: %w", s.index, started.Failure())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.orders, s.answers, s.generation = started, orders, scanner, next
	return nil
}

// obey gives an order and waits until it was carried out, or the process killed; then it starts the next one.
func (s *slot) obey(ctx context.Context, order string) (done bool, err error) {
	if _, err := io.WriteString(s.orders, order+"\n"); err == nil && s.answers.Scan() {
		return true, nil
	}
	<-s.process.Ended()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	s.mu.Lock()
	expected := s.killed == s.generation
	s.mu.Unlock()
	if !expected {
		return false, fmt.Errorf("node %d ended by itself", s.index)
	}
	return false, s.start(ctx)
}

// kill ends the process at once, whatever it is doing; false if it was killed already.
func (s *slot) kill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.killed == s.generation {
		return false
	}
	s.killed = s.generation
	s.process.End(syscall.SIGKILL)
	return true
}

// stop has the process end by itself.
func (s *slot) stop() error {
	if err := s.orders.Close(); err != nil {
		return err
	}
	select {
	case <-s.process.Ended():
		return s.process.Failure()
	case <-time.After(30 * time.Second):
		return fmt.Errorf("node %d does not end", s.index)
	}
}
