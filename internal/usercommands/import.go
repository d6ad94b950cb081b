package usercommands

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/userimport"
)

type usersImport struct {
	File              string `arg:"" help:"CSV with a header, a JSON array, or a JSON object on each line; - reads standard input."`
	DryRun            bool   `help:"Report what would come of it, and change nothing."`
	GeneratePasswords string `type:"path" placeholder:"FILE" help:"Make a password for each new user that comes with none, and write them to a new file, which only its owner can read."`
	JSON              bool   `name:"json" help:"Print what came of each user, JSON, one object a line."`
}

// Help implements kong.HelpProvider.
func (usersImport) Help() string {
	return `The columns of CSV and the members of JSON objects have the same names: username, subject, password, password_hash (Argon2id in
PHC form), disabled (true or false), and the claims of OpenID Connect Core, such as name, given_name, family_name,
email, email_verified, locale, zoneinfo, phone_number, birthdate. Only username is required.

  username,subject,name,email,email_verified,locale
  alice,7F3A,Alice Example,alice@example.com,true,pt-BR

A user who exists, by the subject, or by the user name where there is no subject, is changed: claims that the file has replace
those that are stored, and the password is left alone. So a file can be imported again, and changes nothing then. Each
line with a problem is named with its number, nothing of it is imported, and the exit code is 1.

Examples:
  countersign users import users.csv --dry-run
  countersign users import users.csv --generate-passwords initial.csv
  export-users | countersign users import - --json`
}

// Run implements the command.
func (c usersImport) Run(ctx context.Context, p *Program) error {
	content, err := p.readInput(c.File, userimport.MaxFile)
	if err != nil {
		return err
	}
	users, problems, err := userimport.Read(content)
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was imported", c.File, err)
	}
	run := importing{Program: p, file: c.File, json: c.JSON, counts: map[string]int{}}
	for _, problem := range problems {
		result := admin.Imported{Line: problem.Line, Username: problem.Username, Result: "refused", Reason: problem.Reason}
		if err := run.report(result); err != nil {
			return err
		}
	}
	err = p.withAdmin(ctx, func(a *admin.Admin) error {
		err := run.users(ctx, a, users, c)
		if c.DryRun {
			return err
		}
		// What came before an error is imported, and recorded too.
		return errors.Join(err, admin.Users{Admin: a}.ImportDone(ctx, run.counts, sha256.Sum256(content)))
	})
	run.summarise(c.DryRun)
	if err == nil && run.counts["refused"] > 0 {
		return p.Reported
	}
	return err
}

// importing is the import of one file.
type importing struct {
	*Program
	file   string
	json   bool
	counts map[string]int
}

func (i *importing) users(ctx context.Context, a *admin.Admin, users []userimport.User, c usersImport) (err error) {
	how := admin.HowToImport{DryRun: c.DryRun}
	if c.GeneratePasswords != "" && !c.DryRun {
		passwords, openErr := os.OpenFile(c.GeneratePasswords, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if openErr != nil {
			return fmt.Errorf("--generate-passwords: %w", openErr)
		}
		defer func() { err = errors.Join(err, passwords.Sync(), passwords.Close()) }()
		how.KeepPassword = keepIn(passwords)
	}
	for _, user := range users {
		result, err := admin.Users{Admin: a}.Import(ctx, user, how)
		if err != nil {
			return fmt.Errorf("%s:%d: %w; the users before it are imported", i.file, user.Line, err)
		}
		if err := i.report(result); err != nil {
			return err
		}
	}
	return nil
}

// keepIn writes user names and passwords, a line for each.
func keepIn(file *os.File) func(username, password string) error {
	rows := csv.NewWriter(file)
	return func(username, password string) error {
		if err := rows.Write([]string{username, password}); err != nil {
			return err
		}
		rows.Flush()
		return rows.Error()
	}
}

// report counts a result and prints it: one that was refused always, the others as JSON only.
func (i *importing) report(result admin.Imported) error {
	i.counts[result.Result]++
	if i.json {
		return console.WriteJSONLines(i.Stdout, []admin.Imported{result})
	}
	if result.Result != "refused" {
		return nil
	}
	name := ""
	if result.Username != "" {
		name = result.Username + ": "
	}
	_, err := fmt.Fprintf(i.Stderr, "%s:%d: %s\n", i.file, result.Line, console.OneLine(name+result.Reason))
	return err
}

// summarise prints the counts, beside JSON.
func (i *importing) summarise(dryRun bool) {
	var counts []string
	for _, result := range []string{"added", "changed", "unchanged", "refused"} {
		counts = append(counts, fmt.Sprintf("%d %s", i.counts[result], result))
	}
	to, note := i.Stdout, ""
	if i.json {
		to = i.Stderr
	}
	if dryRun {
		note = "; a dry run: nothing was changed"
	}
	fmt.Fprintf(to, "%s%s\n", strings.Join(counts, ", "), note)
}
