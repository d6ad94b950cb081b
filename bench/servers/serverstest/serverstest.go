// Package serverstest is for tests of programs that start servers: it interrupts them and looks for what they leave.
package serverstest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Build builds a program of this module, and returns its file.
func Build(t *testing.T, folder, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, filepath.Base(absolute))
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return program
}

// Interrupt starts a program with a temporary folder of its own, and sends it a signal some time after it has said a word. It
// runs two subtests, named for what is interrupted: one accepts the signal, and expects that the program ends; the other
// refuses what is left, and expects no file and no process.
func Interrupt(t *testing.T, name string, signal syscall.Signal, word string, later time.Duration, program string, arguments ...string) {
	t.Helper()
	folder := Folder(t)
	t.Run("accepts "+name, func(t *testing.T) {
		interrupt(t, folder, signal, word, later, program, arguments...)
	})
	t.Run("refuses what is left after "+name, func(t *testing.T) {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
		if left := Running(t, folder); len(left) > 0 {
			t.Errorf("still running: %q", left)
		}
	})
}

// interrupt has a program end by a signal.
func interrupt(t *testing.T, folder string, signal syscall.Signal, word string, later time.Duration, program string, arguments ...string) {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "TMPDIR="+folder)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	command.Stderr = &problems
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Process.Kill() // if it has not ended
	lines, found := bufio.NewScanner(output), false
	for !found && lines.Scan() {
		found = strings.Contains(lines.Text(), word)
	}
	if !found {
		t.Fatalf("it never says %q: %v, %s", word, command.Wait(), &problems)
	}
	time.Sleep(later) // the signal has to come in the middle of something, whatever that is
	if err := command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, output)
		ended <- command.Wait()
	}()
	select {
	case err := <-ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
			t.Errorf("it ended with %v: %s", err, &problems)
		}
	case <-time.After(time.Minute):
		t.Error("it does not end")
	}
}

// Folder is a temporary folder that other users can enter, for PostgreSQL.
func Folder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "interrupted-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// Running are the command lines of the processes that name a folder or work in it.
func Running(t *testing.T, folder string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		works, _ := os.Readlink(filepath.Join(filepath.Dir(file), "cwd")) // or it has ended
		if text := strings.ReplaceAll(string(line), "\x00", " "); strings.Contains(text, folder) || strings.HasPrefix(works, folder) {
			lines = append(lines, text)
		}
	}
	return lines
}
