package pin

import (
	"crypto/fips140"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/crypto/argon2"

	"countersign/internal/wholefile"
)

// Memory keeps, in a folder, the PIN that a token refused last, so that no later worker sends it again: not after a restart,
// not from another process. The zero value remembers nothing.
//
// It does not give the PIN away: of an Argon2id tag with a salt of its own one byte is kept, so that of all PINs one in 256
// fits, however many are tried. As many of the PINs that come after it are taken for it; the operator then removes the
// file, which every error names.
type Memory struct {
	// Folder is where the files are. Empty: nothing is remembered.
	Folder string
	// Token distinguishes tokens: label and serial number.
	Token string
	Now   func() time.Time
}

// Argon2id's cost: 19 MiB, two passes. It is paid only while a refusal is remembered.
const (
	passes, memory, lanes = 2, 19 << 10, 1
	saltSize, tagSize     = 16, 1
)

// Where FIPS 140-3 is enforced, PBKDF2 takes the place of Argon2id, with the count of the OWASP Password Storage Cheat Sheet.
const (
	approved   = "pbkdf2-sha256"
	iterations = 600_000
)

const (
	// lockTimeout is how long a login waits for that of another process.
	lockTimeout, lockAgain = 5 * time.Second, 20 * time.Millisecond
	maxMemory              = 4 << 10
)

// Refusal is what is remembered.
type Refusal struct {
	Token     string    `json:"token"`
	RefusedAt time.Time `json:"refused_at"`
	// Reason is what the token said.
	Reason string `json:"reason"`
	// KDF is what made the tag: empty for Argon2id.
	KDF  string `json:"kdf,omitempty"`
	Salt []byte `json:"salt"`
	Tag  []byte `json:"tag"`
}

// File is where the token's refusal is remembered, or empty.
func (m Memory) File() string {
	if m.Folder == "" {
		return ""
	}
	name := sha256.Sum256([]byte(m.Token))
	return filepath.Join(m.Folder, "pin-refused-"+hex.EncodeToString(name[:8])+".json")
}

// Refused returns the refusal of this very PIN, or nil. What cannot be read counts as a refusal of every PIN: a PIN is not
// sent because a file is damaged.
func (m Memory) Refused(pin string) (*Refusal, error) {
	if m.Folder == "" {
		return nil, nil
	}
	file, err := os.Open(m.File())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxMemory))
	if err != nil {
		return nil, err
	}
	var known Refusal
	if err := json.Unmarshal(text, &known); err != nil || len(known.Tag) != tagSize || len(known.Salt) != saltSize {
		return nil, fmt.Errorf("%s is damaged", m.File())
	}
	made, err := tag(known.KDF, pin, known.Salt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.File(), err)
	}
	if subtle.ConstantTimeCompare(made, known.Tag) != 1 {
		return nil, nil
	}
	return &known, nil
}

// tag is kept in place of the PIN. It fails where FIPS 140-3 is enforced now and was not when the PIN was refused: then it is not
// known which PIN that was.
func tag(kdf, pin string, salt []byte) ([]byte, error) {
	switch {
	case kdf == approved:
		made, err := pbkdf2.Key(sha256.New, pin, salt, iterations, 32)
		if err != nil {
			return nil, err
		}
		return made[:tagSize], nil
	case kdf != "":
		return nil, fmt.Errorf("it is of a later release (%q)", kdf)
	case fips140.Enforced():
		return nil, errors.New("it was made with Argon2id, which is not approved by FIPS 140-3; remove it when the PIN is right")
	}
	return argon2.IDKey([]byte(pin), salt, passes, memory, lanes, 32)[:tagSize], nil
}

// Remember keeps a refusal in place of the one before it, and returns when it is on the disk.
func (m Memory) Remember(pin, reason string) error {
	if m.Folder == "" {
		return errors.New("no folder is set for it (signer.state_dir)")
	}
	known := Refusal{Token: m.Token, RefusedAt: m.Now().UTC().Truncate(time.Second), Reason: reason, Salt: make([]byte, saltSize)}
	if _, err := rand.Read(known.Salt); err != nil {
		return err
	}
	if fips140.Enforced() {
		known.KDF = approved
	}
	var err error
	if known.Tag, err = tag(known.KDF, pin, known.Salt); err != nil {
		return err
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return wholefile.Write(m.File(), append(text, '\n'), 0o600)
}

// Forget removes what is remembered, after the token took a PIN.
func (m Memory) Forget() error {
	if m.Folder == "" {
		return nil
	}
	err := os.Remove(m.File())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, wholefile.Sync(m.Folder))
}

// Lock lets one process of this machine log in at a time, so that a PIN that is refused now is remembered before another
// process sends it. It is released by what it returns, and by the end of the process. An error means that another process
// has been logging in for longer than is waited for: it ends when that one hangs.
func (m Memory) Lock() (release func(), err error) {
	if m.Folder == "" {
		return func() {}, nil
	}
	file, err := os.OpenFile(m.File()+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return func() {}, nil // Remember will say what is wrong with the folder
	}
	for began := m.Now(); m.Now().Sub(began) < lockTimeout; time.Sleep(lockAgain) {
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return func() { file.Close() }, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("another process of this machine has been logging in for %s", lockTimeout), file.Close())
}
