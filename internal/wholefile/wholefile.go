// Package wholefile replaces files in one step, so that whoever reads one finds all of it or all of the one before, also after the
// machine has failed.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes a file or replaces it, and returns when it is on the disk. With an error before that nothing is left behind.
func Write(name string, content []byte, mode fs.FileMode) error {
	made, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // only its owner can read it
	if err != nil {
		return err
	}
	_, err = made.Write(content)
	err = errors.Join(err, made.Chmod(mode), made.Sync(), made.Close())
	if err == nil {
		err = os.Rename(made.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(made.Name()))
	}
	return Sync(filepath.Dir(name))
}

// Sync returns when a file's content, or the list of a folder's files, is on the disk.
func Sync(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
