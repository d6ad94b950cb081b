package setupcommands

import (
	"context"
	"fmt"

	"countersign/internal/buildinfo"
	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/internal/usercommands"
)

// Version prints what the program was built from.
type Version struct {
	Short bool `help:"Print only the version of Countersign."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (Version) Help() string {
	return `PKCS#11 modules, crypto11 and SQLite need a build with cgo. Schema says which step of the database's schema
this release makes and needs, and from which step on the releases are that can run beside it. FIPS 140-3 says
the mode of this process and the version of Go's module (docs/fips.md).

Examples:
  countersign version
  countersign version --short`
}

// about is what is printed.
type about struct {
	buildinfo.Info
	// Schema is nil in a build that has no database to ask.
	Schema *database.Steps `json:"schema,omitempty"`
}

// Run implements the command.
func (v Version) Run(ctx context.Context, p *usercommands.Program) error {
	build := about{Info: buildinfo.Read()}
	if v.Short {
		_, err := fmt.Fprintln(p.Stdout, build.Version)
		return err
	}
	if steps, err := database.Schema(ctx); err == nil {
		build.Schema = &steps // without cgo there is none, as the rows below say
	}
	if v.JSON {
		return console.WriteJSON(p.Stdout, build)
	}
	table := console.NewTable(p.Stdout)
	table.Row("countersign", build.Version)
	if build.Commit != "" {
		commit := build.Commit + ", " + build.Date
		if build.Modified {
			commit += ", with changes"
		}
		table.Row("commit", commit)
	}
	table.Row("go", build.Go+" "+build.Platform)
	table.Row("fips140", build.FIPS.String())
	if s := build.Schema; s != nil {
		table.Row("schema", fmt.Sprintf("%d; releases from schema %d on can run beside this one", s.Newest, s.Oldest))
	}
	for _, needsCgo := range []string{"cgo", "pkcs11", "crypto11"} {
		table.Row(needsCgo, console.YesNo(build.Cgo))
	}
	for _, module := range build.Modules {
		table.Row(module.Path, module.Version)
	}
	return table.Flush()
}
