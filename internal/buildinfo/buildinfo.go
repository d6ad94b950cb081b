// Package buildinfo reports what the program was built from.
package buildinfo

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"countersign/internal/fips"
)

// Info describes a build.
type Info struct {
	// Version is that of the tag the program was built at, such as v1.2.3; between tags what Go makes of the last one, the time and
	// the commit. Without version control it is "development".
	Version string `json:"version"`
	// Commit is the commit, and Date its time by RFC 3339; both are empty without version control.
	Commit string `json:"commit,omitempty"`
	Date   string `json:"date,omitempty"`
	// Modified reports whether the files differed from the commit.
	Modified bool `json:"modified,omitempty"`
	// Go is the release of Go, and Platform what the program runs on.
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// FIPS is the state of Go's cryptographic module in this process.
	FIPS fips.State `json:"fips140"`
	// Cgo reports whether cgo was used: PKCS#11, crypto11 and SQLite need it.
	Cgo bool `json:"cgo"`
	// Modules are the dependencies that were linked in.
	Modules []*debug.Module `json:"modules"`
}

// Read returns what the Go toolchain recorded in the running program.
func Read() Info {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = &debug.BuildInfo{}
	}
	info := from(recorded)
	info.Go, info.Platform, info.FIPS = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH, fips.Read()
	return info
}

func from(recorded *debug.BuildInfo) Info {
	info := Info{Version: recorded.Main.Version, Modules: recorded.Deps}
	for _, setting := range recorded.Settings {
		switch setting.Key {
		case "CGO_ENABLED":
			info.Cgo = setting.Value == "1"
		case "vcs.revision":
			info.Commit = setting.Value
		case "vcs.time":
			info.Date = setting.Value
		case "vcs.modified":
			info.Modified = setting.Value == "true"
		}
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = cmp.Or(info.Commit, "development")
		if info.Modified {
			info.Version += "+changes"
		}
	}
	return info
}
