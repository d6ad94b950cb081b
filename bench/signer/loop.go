//go:build cgo && !nopkcs11

package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"countersign/signer"
	"countersign/softhsm"
)

//go:embed loop/loop.c
var loopSource []byte

// cLoop is the program in C.
type cLoop struct {
	pid int
	in  io.Writer
	out *bufio.Reader
	ids map[signer.Algorithm]string
}

func startLoop(ctx context.Context, folder string, token softhsm.Token, keys map[signer.Algorithm]signer.Record) (*cLoop, error) {
	source, binary := filepath.Join(folder, "loop.c"), filepath.Join(folder, "loop")
	if err := os.WriteFile(source, loopSource, 0o600); err != nil {
		return nil, err
	}
	if output, err := exec.CommandContext(ctx, "cc", "-O2", "-o", binary, source, "-lpthread", "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cc: %w: %s", err, output)
	}
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, binary)
	command.Stderr = os.Stderr
	for name, value := range token.Environment {
		command.Env = append(command.Env, name+"="+value)
	}
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	l := &cLoop{pid: command.Process.Pid, in: in, out: bufio.NewReader(out), ids: map[signer.Algorithm]string{}}
	for alg, key := range keys {
		id, err := base64.RawURLEncoding.DecodeString(key.ID)
		if err != nil {
			return nil, err
		}
		l.ids[alg] = hex.EncodeToString(id)
	}
	if _, err := fmt.Fprintf(in, "%s\n%s\n%s\n", token.Module, token.Label, strings.TrimSpace(string(pin))); err != nil {
		return nil, err
	}
	_, err = l.out.ReadString('\n')
	return l, err
}

func (l *cLoop) measure(alg signer.Algorithm, callers int, slice time.Duration) (float64, error) {
	if _, err := fmt.Fprintf(l.in, "%s %s %d %d\n", alg, l.ids[alg], callers, slice.Milliseconds()); err != nil {
		return 0, err
	}
	var made, micros int64
	if _, err := fmt.Fscanf(l.out, "%d %d\n", &made, &micros); err != nil {
		return 0, err
	}
	return float64(made) / (float64(micros) / 1e6), nil
}
