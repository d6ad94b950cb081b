package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Confirm asks for a name once more before what cannot be undone; kind says what the name is.
func Confirm(stdin io.Reader, stderr io.Writer, kind, name string) error {
	fmt.Fprintf(stderr, "this cannot be undone; to go on, write %s once more: ", kind)
	answer, err := bufio.NewReader(io.LimitReader(stdin, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != name {
		return fmt.Errorf("that is not %s: nothing was changed", name)
	}
	return nil
}

// AskPassword asks for the new password of a user at a terminal, twice; otherwise it is the first line of stdin, of at most
// so many bytes.
func AskPassword(stdin io.Reader, stderr io.Writer, username string, most int64) ([]byte, error) {
	terminal, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		content, err := ReadInput(stdin, "-", most+2) // two for the end of the line
		line, _, _ := bytes.Cut(content, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), err
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(stderr, prompt)
		defer fmt.Fprintln(stderr)
		return term.ReadPassword(int(terminal.Fd()))
	}
	password, err := ask(fmt.Sprintf("Password of %s: ", username))
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	again, err := ask("The same again: ")
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	if !bytes.Equal(password, again) {
		return nil, errors.New("the two passwords differ; nothing was changed")
	}
	return password, nil
}
