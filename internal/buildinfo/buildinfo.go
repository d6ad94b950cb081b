// Package buildinfo reports what the program was built from.
package buildinfo

import (
	"cmp"
	"runtime/debug"
)

// Info describes a build.
type Info struct {
	// Version is the module's version or, without one, the commit.
	Version string `json:"version"`
	// Cgo reports whether cgo was used: PKCS#11, crypto11 and SQLite need it.
	Cgo bool `json:"cgo"`
	// Modules are the dependencies that were linked in.
	Modules []*debug.Module `json:"modules"`
}

// Read returns what the Go toolchain recorded in the running program.
func Read() Info {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		return Info{Version: "unknown"}
	}
	return from(recorded)
}

func from(recorded *debug.BuildInfo) Info {
	info := Info{Version: recorded.Main.Version, Modules: recorded.Deps}
	var revision, modified string
	for _, setting := range recorded.Settings {
		switch setting.Key {
		case "CGO_ENABLED":
			info.Cgo = setting.Value == "1"
		case "vcs.revision":
			revision = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				modified = "+changes"
			}
		}
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = cmp.Or(revision, "development") + modified
	}
	return info
}
