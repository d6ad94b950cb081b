// Package layout makes the folders of an installation, with their owners and modes, and says what it made.
package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"countersign/internal/console"
)

// What the package and its systemd unit expect.
const (
	// Configuration is the folder that belongs to root, and that the service's user may read.
	Configuration = "/etc/countersign"
	// State is the folder that belongs to the service's user.
	State = "/var/lib/countersign"
	// User is the user that the service runs as, and its group's name.
	User = "countersign"
	// File is the name of the configuration.
	File = "countersign.toml"
)

// Layout is what is to be made.
type Layout struct {
	// System lays out a service: Folder is root's, the state folder is Owner's.
	System bool
	// Folder is that of the configuration.
	Folder string
	// Owner is the user that the server runs as; empty for whoever runs this.
	Owner string
	// State is the state folder of a service; empty for [State].
	State string
	// Issuer is the name of a further issuer of a service that is there: its configuration is a file of this name beside that of the
	// service, and it has a folder in the state folder. Empty for the service itself.
	Issuer string
	// Root is the user that a service's configuration belongs to; empty for root.
	Root string
}

// Made is what there is now.
type Made struct {
	// File is the configuration.
	File string
	// Lines say, for people, what was made, and for whom, and what was there.
	Lines []string
}

// Make makes the folders, and the configuration with this content. What was made before an error is in the result. Only a
// service's may be repeated: then a configuration that is there is kept. Errors are those of the file system, or name the user
// that does not exist.
func (l Layout) Make(configuration []byte) (Made, error) {
	made := Made{File: filepath.Join(l.Folder, File)}
	if l.Issuer != "" {
		if _, err := os.Stat(made.File); err != nil {
			return made, fmt.Errorf("a further issuer needs the service's own configuration first: %w", err)
		}
		made.File = filepath.Join(l.Folder, l.Issuer+".toml")
	}
	if l.System {
		return made, l.system(&made, configuration)
	}
	if err := os.MkdirAll(l.Folder, 0o700); err != nil {
		return made, err
	}
	err := console.WriteNew(made.File, configuration, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return made, fmt.Errorf("there is a configuration %s already; edit it, or remove it first", made.File)
	}
	if err != nil {
		return made, err
	}
	made.say("wrote %s", made.File)
	switch {
	case l.Owner != "":
		if err := console.Give(l.Owner, l.Folder, made.File); err != nil {
			return made, err
		}
		made.say("gave %s and what is in it to %s", l.Folder, l.Owner)
	case os.Geteuid() == 0:
		made.say("only root can enter %s now; where the server runs as another user: chown -R USER %[1]s (or init with --owner USER)", l.Folder)
	}
	return made, nil
}

// system lays out a service.
func (l Layout) system(made *Made, configuration []byte) error {
	service, err := lookup(l.Owner)
	if err != nil {
		return fmt.Errorf("%w; the package makes it, or: useradd --system --home-dir %s --shell /usr/sbin/nologin %s", err, State, l.Owner)
	}
	root := owner{0, service.group}
	rootName := "root"
	if l.Root != "" {
		other, err := lookup(l.Root)
		if err != nil {
			return err
		}
		root.user, rootName = other.user, l.Root
	}
	state := l.State
	if state == "" {
		state = State
	}
	type folder struct {
		name  string
		owner owner
		whose string
		mode  os.FileMode
	}
	folders := []folder{
		{l.Folder, root, rootName + ":" + l.Owner, 0o750},
		{filepath.Join(l.Folder, "tls"), root, rootName + ":" + l.Owner, 0o750},
		{state, service, l.Owner + ":" + l.Owner, 0o700},
	}
	if l.Issuer != "" { // below what the unit lets the service write
		folders = append(folders, folder{filepath.Join(state, l.Issuer), service, l.Owner + ":" + l.Owner, 0o700})
	}
	for _, folder := range folders {
		was, err := made.folder(folder.name)
		if err != nil {
			return err
		}
		if err := folder.owner.own(folder.name, folder.mode); err != nil {
			return err
		}
		made.say("%s %s (%s, %04o)", was, folder.name, folder.whose, folder.mode)
	}
	was := "wrote"
	err = console.WriteNew(made.File, configuration, 0o640)
	switch {
	case errors.Is(err, fs.ErrExist):
		was = "kept"
	case err != nil:
		return err
	}
	if err := root.own(made.File, 0o640); err != nil {
		return err
	}
	made.say("%s %s (%s:%s, 0640)", was, made.File, rootName, l.Owner)
	return nil
}

// folder makes a folder, or finds that it is there; a link is not followed.
func (m *Made) folder(name string) (was string, err error) {
	there, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "made", os.MkdirAll(name, 0o700)
	case err != nil:
		return "", err
	case !there.IsDir():
		return "", fmt.Errorf("%s is there and is no folder", name)
	}
	return "kept", nil
}

func (m *Made) say(format string, arguments ...any) {
	m.Lines = append(m.Lines, fmt.Sprintf(format, arguments...))
}

// owner is a user and a group by number.
type owner struct{ user, group int }

func lookup(name string) (owner, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return owner{}, fmt.Errorf("there is no user %s", name)
	}
	id, err := strconv.Atoi(found.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("the user %s has no numeric id: %w", name, err)
	}
	group, err := strconv.Atoi(found.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("the group of %s has no numeric id: %w", name, err)
	}
	return owner{id, group}, nil
}

func (o owner) own(name string, mode os.FileMode) error {
	if err := os.Lchown(name, o.user, o.group); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
