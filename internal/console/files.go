package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
)

// ReadInput reads a text file of at most so many bytes, or stdin for "-", without the byte order mark that some
// editors write.
func ReadInput(stdin io.Reader, name string, most int64) ([]byte, error) {
	source := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		source = file
	}
	content, err := io.ReadAll(io.LimitReader(source, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), nil
}

// WriteNew writes a file that must not exist; else the error is [fs.ErrExist].
func WriteNew(name string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// Give makes a user, by name, the owner of files and folders, together with the user's group.
func Give(name string, files ...string) error {
	owner, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return fmt.Errorf("the user %s has no numeric id: %w", name, err)
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return fmt.Errorf("the group of %s has no numeric id: %w", name, err)
	}
	for _, file := range files {
		if err := os.Chown(file, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// Operator names the user of this process, and who became it by sudo.
func Operator() string {
	name := strconv.Itoa(os.Getuid())
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" {
		name += " (sudo: " + behind + ")"
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
