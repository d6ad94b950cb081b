// Package value has the types of values in the configuration file that are more than texts and numbers: lengths of time, and
// names of files and of secrets; and what is read from addresses there.
package value

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as whole numbers with units: "90d", "1h30m", "60s", "250ms".
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

const (
	// DurationPattern is the form of a duration.
	DurationPattern = `^([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$`
	// longest keeps sums far from overflow; no key allows as much.
	longest = 100 * 365 * 24 * time.Hour
)

// units are those of DurationPattern, in its order.
func units() []unit {
	return []unit{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}}
}

type unit struct {
	length time.Duration
	name   string
}

// ErrNotDuration is the error for a text that is no duration.
var ErrNotDuration = errors.New(`not a duration; write whole numbers with d, h, m, s or ms, such as "90d" or "1h30m"`)

// ParseDuration reads a duration such as "90d" or "1h30m".
func ParseDuration(text string) (Duration, error) {
	groups := regexp.MustCompile(DurationPattern).FindStringSubmatch(text)
	if groups == nil || text == "" {
		return 0, ErrNotDuration
	}
	var sum time.Duration
	for i, u := range units() {
		digits := strings.TrimSuffix(groups[i+1], u.name)
		if digits == "" {
			continue
		}
		count, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || count > int64(longest/u.length) {
			return 0, errors.New("longer than a hundred years")
		}
		sum += time.Duration(count) * u.length
	}
	return Duration(sum), nil
}

// String writes the duration as ParseDuration reads it.
func (d Duration) String() string {
	rest := time.Duration(d)
	var text strings.Builder
	for _, u := range units() {
		if count := rest / u.length; count > 0 {
			fmt.Fprintf(&text, "%d%s", count, u.name)
			rest -= count * u.length
		}
	}
	if text.Len() == 0 {
		return "0s"
	}
	return text.String()
}

// File is the name of a file. A relative name starts at the configuration file's folder and is made absolute or
// relative to the working directory when the file is read.
type File string

// Path is the name to open.
func (f File) Path() string { return string(f) }

// Secret names where a secret lies: a file name, as [File], or "credential:NAME" for a credential that systemd
// hands over (LoadCredential=, systemd.exec(5)). The secret itself is never in the configuration.
type Secret string

const credentialPrefix = "credential:"

// maxSecret bounds the size of a secret, in bytes.
const maxSecret = 64 << 10

// Path is the file to read: for a credential, the one in $CREDENTIALS_DIRECTORY.
func (s Secret) Path() (string, error) {
	name, ok := strings.CutPrefix(string(s), credentialPrefix)
	if !ok {
		return string(s), nil
	}
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", errors.New(`not the name of a credential; write credential:NAME with the name of systemd's LoadCredential=`)
	}
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	if folder == "" {
		return "", errors.New("credentials exist only in a systemd service; set LoadCredential= in the unit, or name a file here")
	}
	return filepath.Join(folder, name), nil
}

// IsCredential reports whether the name is that of a credential that systemd hands over.
func (s Secret) IsCredential() bool { return strings.HasPrefix(string(s), credentialPrefix) }

// Read returns the secret without a trailing line end. The error names the file and never what it holds.
func (s Secret) Read() ([]byte, error) {
	path, err := s.Path()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxSecret:
		return nil, fmt.Errorf("%s: larger than %d bytes, which no secret is", path, maxSecret)
	}
	text = []byte(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
	if len(text) == 0 {
		return nil, fmt.Errorf("%s: empty", path)
	}
	return text, nil
}

// Check reports why the secret cannot be read safely.
func (s Secret) Check() error {
	path, err := s.Path()
	if err != nil {
		return err
	}
	info, err := Stat(path)
	if err != nil {
		return err
	}
	// systemd keeps credentials where only the service's user can go.
	if info.Mode().Perm()&0o007 != 0 && !s.IsCredential() {
		return fmt.Errorf("every user of this machine may open the file (mode %04o); take that away with chmod o= (or chmod 600)", info.Mode().Perm())
	}
	return nil
}

// Check reports why the file cannot be read.
func (f File) Check() error {
	_, err := Stat(string(f))
	return err
}

// Stat checks that a file is readable. The error says what is wrong, without the name.
func Stat(path string) (fs.FileInfo, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("this user may not read the file")
	case err != nil:
		if cause := new(fs.PathError); errors.As(err, &cause) {
			return nil, fmt.Errorf("the file cannot be read: %w", cause.Err)
		}
		return nil, errors.New("the file cannot be read")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, errors.New("the file cannot be read")
	}
	if info.IsDir() {
		return nil, errors.New("this is a folder, not a file")
	}
	return info, nil
}
