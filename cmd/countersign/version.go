package main

import (
	"runtime"

	"countersign/internal/buildinfo"
	"countersign/internal/console"
)

// versionCommand prints what this program was built from.
type versionCommand struct {
	Short bool `help:"Print only the version of Countersign."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (versionCommand) Help() string {
	return `PKCS#11 modules, crypto11 and SQLite need a build with cgo.

Examples:
  countersign version
  countersign version --short`
}

// Run implements the command.
func (v versionCommand) Run(p *program) error {
	build := buildinfo.Read()
	if v.Short {
		p.printf("%s\n", build.Version)
		return nil
	}
	if v.JSON {
		return p.printJSON(build)
	}
	table := p.table()
	table.Row("countersign", build.Version)
	table.Row("go", runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	for _, needsCgo := range []string{"cgo", "pkcs11", "crypto11"} {
		table.Row(needsCgo, console.YesNo(build.Cgo))
	}
	for _, module := range build.Modules {
		table.Row(module.Path, module.Version)
	}
	return table.Flush()
}
