package buildinfo

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// Covers: NM-100.
func TestNM100From(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-30T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
		{Key: "CGO_ENABLED", Value: "1"},
	}
	for _, test := range []struct {
		name     string
		version  string
		settings []debug.BuildSetting
		want     Info
	}{
		{"accepts a release", "v1.2.3", vcs[:2], Info{Version: "v1.2.3", Commit: "abc", Date: "2026-11-30T12:00:00Z"}},
		{"accepts a changed checkout", "(devel)", vcs, Info{Version: "abc+changes", Commit: "abc", Date: "2026-11-30T12:00:00Z", Modified: true, Cgo: true}},
		{"refuses to invent a version", "", nil, Info{Version: "development"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := from(&debug.BuildInfo{Main: debug.Module{Version: test.version}, Settings: test.settings})
			if got.Version != test.want.Version || got.Cgo != test.want.Cgo || got.Commit != test.want.Commit ||
				got.Date != test.want.Date || got.Modified != test.want.Modified {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
	t.Run("accepts what runs", func(t *testing.T) {
		if got := Read(); got.Go != runtime.Version() || got.Platform == "" || got.FIPS.Mode == "" || got.FIPS.Module == "" {
			t.Errorf("%+v", got)
		}
	})
}
