package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// packed are the files of the source, beside the binary, that go along: folders as a whole.
func packed() []string {
	return []string{"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "deploy", "docs"}
}

// tarball writes a file in which nothing depends on who makes it and when: sorted, root's, with the time of the commit.
func tarball(to, folder, source, binary string, at time.Time) (err error) {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	compressed := gzip.NewWriter(file)
	writer := tar.NewWriter(compressed)
	if err := addFile(writer, folder+"/bin/countersign", binary, 0o755, at); err != nil {
		return err
	}
	for _, name := range packed() {
		files, err := listed(source, name)
		if err != nil {
			return err
		}
		for _, each := range files {
			if err := addFile(writer, folder+"/"+each, filepath.Join(source, each), 0o644, at); err != nil {
				return err
			}
		}
	}
	return errors.Join(writer.Close(), compressed.Close())
}

// listed are a file, or the files below a folder that are no source of Go, by name below the source.
func listed(source, name string) (files []string, err error) {
	err = filepath.WalkDir(filepath.Join(source, name), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		below, err := filepath.Rel(source, path)
		files = append(files, below)
		return err
	})
	slices.Sort(files)
	return files, err
}

func addFile(to *tar.Writer, name, from string, mode int64, at time.Time) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: mode, ModTime: at.UTC(), Uname: "root", Gname: "root", Format: tar.FormatUSTAR}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(to, file)
	return err
}
