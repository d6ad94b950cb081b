package doctor

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"countersign/internal/config"
	"countersign/internal/serve"
)

const (
	group    = 0o070 // the bits of a mode that are the group's
	others   = 0o007
	allWrite = 0o002
)

// files examines modes; that each file is there and closed to everybody was checked with the configuration.
func (d *Doctor) files() (f Findings) {
	c := d.Config
	secrets, named := map[string]config.Secret{}, map[string]string{"the configuration": d.File}
	c.EachFile(func(key string, file config.File, secret config.Secret) {
		if secret != "" {
			secrets[key] = secret
			named[key], _ = secret.Path() // which is said below
		} else {
			named[key] = file.Path()
		}
	})
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		f.secret(key, secrets[key])
	}
	if c.Store.Driver == "sqlite" {
		f.database(c.Store.File.Path())
		f.owners(c.Store.File.Path(), named)
	}
	return f
}

func (f *Findings) secret(key string, name config.Secret) {
	if _, err := name.Read(); err != nil {
		f.fail("files", "%s: %v", key, err)
		return
	}
	path, err := name.Path()
	if err != nil {
		f.fail("files", "%s: %v", key, err)
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.fail("files", "%s: %v", key, err)
	case info.Mode().Perm()&group != 0:
		f.warn("files", "%s: %s is open to its group (mode %04o)", key, path, info.Mode().Perm())
	default:
		f.ok("files", "%s: %s is closed to others (mode %04o)", key, path, info.Mode().Perm())
	}
}

func (f *Findings) database(name string) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.fail("files", "store.file: there is no %s; run: countersign migrate up", name)
	case err != nil:
		f.fail("files", "store.file: %v", err)
	case info.Mode().Perm()&(group|others) != 0:
		f.fail("files", "store.file: %s is open to others (mode %04o); run: chmod 600 %[1]s", name, info.Mode().Perm())
	default:
		f.ok("files", "store.file: %s is closed to others (mode %04o)", name, info.Mode().Perm())
	}
	if folder, err := os.Stat(filepath.Dir(name)); err == nil && folder.Mode().Perm()&allWrite != 0 {
		f.fail("files", "everybody can write to the folder of %s; run: chmod o-w %s", name, filepath.Dir(name))
	}
}

// ciba reads what backchannel authentication needs.
func (d *Doctor) ciba() (f Findings) {
	offered, err := serve.CheckBackchannel(d.Config.CIBA, d.Now)
	switch {
	case err != nil:
		f.fail("ciba", "%v", err)
	case !offered.Enabled:
	case !offered.Ping:
		f.ok("ciba", "clients ask users over the backchannel and poll; there is no ciba.ping_keys_file for ping")
	default:
		f.ok("ciba", "clients ask users over the backchannel, with poll and ping")
	}
	return f
}
