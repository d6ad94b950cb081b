package doctor

import (
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// owners looks for files that the server's user cannot read, where the embedded database tells who that is: doctor may be run by
// root, who reads everything. named are the files, by key.
func (f *Findings) owners(database string, named map[string]string) {
	server, ok := ownerOf(database)
	if !ok {
		return
	}
	if self := os.Geteuid(); self != 0 && self != int(server.Uid) {
		f.fail("files", "store.file: %s belongs to %s; run doctor, and the server, as that user, or run: chown %s %[1]s", database, name(server.Uid), name(uint32(self)))
		return
	}
	if server.Uid == 0 {
		return
	}
	reader := newReader(server)
	closed := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		path, err := filepath.Abs(named[key])
		if err != nil || named[key] == "" || path == database {
			continue
		}
		for folder := filepath.Dir(path); !closed[folder]; folder = filepath.Dir(folder) {
			closed[folder] = true // whatever it is, it is said once
			if info, err := os.Stat(folder); err == nil && !reader.may(info, 0o1) {
				f.fail("files", "%s: the folder %s is closed to %s, whose the database is (mode %04o); run: chown %[3]s %[2]s", key, folder, name(server.Uid), info.Mode().Perm())
			}
		}
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || reader.may(info, 0o4) {
			continue // which was said
		}
		owner, _ := ownerOf(path)
		f.fail("files", "%s: %s belongs to %s, and the database to %s, who cannot read it; run: chown %[4]s %[2]s", key, path, name(owner.Uid), name(server.Uid))
	}
}

// reader is a user, who may or may not read a file by its mode.
type reader struct {
	uid    uint32
	groups []string
}

// newReader is the user whom a file belongs to.
func newReader(of *syscall.Stat_t) reader {
	r := reader{of.Uid, []string{strconv.Itoa(int(of.Gid))}}
	if found, err := user.LookupId(strconv.Itoa(int(of.Uid))); err == nil {
		if groups, err := found.GroupIds(); err == nil {
			r.groups = append(r.groups, groups...)
		}
	}
	return r
}

// may reports whether the mode of a file lets the user do what a bit of a mode says: 4 is to read, 1 to enter a folder.
func (r reader) may(info fs.FileInfo, bit fs.FileMode) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return true
	case owner.Uid == r.uid:
		return info.Mode().Perm()&(bit<<6) != 0
	case slices.Contains(r.groups, strconv.Itoa(int(owner.Gid))):
		return info.Mode().Perm()&(bit<<3) != 0
	}
	return info.Mode().Perm()&bit != 0
}

func ownerOf(file string) (*syscall.Stat_t, bool) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return owner, ok
}

// name is that of a user, or the number.
func name(uid uint32) string {
	number := strconv.Itoa(int(uid))
	if found, err := user.LookupId(number); err == nil {
		return found.Username
	}
	return number
}
