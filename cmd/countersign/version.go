package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"text/tabwriter"
)

// versionCommand tells what this program was built from.
type versionCommand struct {
	Short bool `help:"Only the version of Countersign."`
}

// Run implements the command.
func (v versionCommand) Run(p *program) error {
	build := readBuild()
	if v.Short {
		p.printf("%s\n", build.version)
		return nil
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) { _, _ = table.Write([]byte(name + "\t" + value + "\n")) } // Flush tells of errors
	row("countersign", build.version)
	row("go", runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	row("cgo", yes(build.cgo))
	row("pkcs11", yes(build.cgo))
	row("crypto11", yes(build.cgo))
	for _, module := range build.modules {
		row(module.Path, module.Version)
	}
	return table.Flush()
}

// Help implements kong.HelpProvider.
func (versionCommand) Help() string {
	return `PKCS#11 modules, crypto11 and SQLite need a build with cgo.

Examples:
  countersign version
  countersign version --short`
}

type build struct {
	version string
	// cgo tells whether the program was built with cgo, and so with PKCS#11, crypto11 and SQLite.
	cgo     bool
	modules []*debug.Module
}

// readBuild reads what the Go toolchain noted in the program.
func readBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{version: "unknown"}
	}
	b := build{version: info.Main.Version, modules: info.Deps}
	var revision, modified string
	for _, setting := range info.Settings {
		switch setting.Key {
		case "CGO_ENABLED":
			b.cgo = setting.Value == "1"
		case "vcs.revision":
			revision = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				modified = "+changes"
			}
		}
	}
	if b.version == "" || b.version == "(devel)" {
		b.version = cmp.Or(revision, "development") + modified
	}
	return b
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
