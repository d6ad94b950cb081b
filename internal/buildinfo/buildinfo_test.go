package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestFrom(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}, {Key: "CGO_ENABLED", Value: "1"}}
	for _, test := range []struct {
		name     string
		version  string
		settings []debug.BuildSetting
		want     string
		cgo      bool
	}{
		{"a release", "v1.2.3", vcs, "v1.2.3", true},
		{"a changed checkout", "(devel)", vcs, "abc+changes", true},
		{"without version control", "", nil, "development", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := from(&debug.BuildInfo{Main: debug.Module{Version: test.version}, Settings: test.settings})
			if got.Version != test.want || got.Cgo != test.cgo {
				t.Errorf("%+v, want version %q, cgo %v", got, test.want, test.cgo)
			}
		})
	}
}
