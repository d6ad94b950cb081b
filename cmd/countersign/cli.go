package main

import (
	"countersign/internal/checkcommands"
	"countersign/internal/issuers/flag"
	"countersign/internal/operations"
	"countersign/internal/setupcommands"
	"countersign/internal/usercommands"
	"countersign/internal/watchcommands"
)

// commands is the command line.
type commands struct {
	Config string `placeholder:"FILE" env:"COUNTERSIGN_CONFIG" help:"Configuration file; else ./countersign.toml or ./local/countersign.toml."`

	operations.Flags

	Serve     serveCommand                    `cmd:"" help:"Run the authorization server."`
	Init      setupcommands.Init              `cmd:"" help:"Write a configuration; with --dev, set up everything to try it on this machine."`
	Demo      demoCommand                     `cmd:"" help:"Run through the whole flow as a client, with each message explained."`
	Keys      flag.For[keysCommand]           `cmd:"" help:"Manage signing keys."`
	Clients   flag.For[clientsCommand]        `cmd:"" help:"Manage clients."`
	Users     flag.For[usercommands.Users]    `cmd:"" help:"Manage the built-in user directory."`
	Grants    flag.For[usercommands.Grants]   `cmd:"" help:"List and revoke what users and clients were granted."`
	Consents  flag.For[usercommands.Consents] `cmd:"" help:"List, read and end the consents that clients lodge."`
	Devices   flag.For[devicesCommand]        `cmd:"" help:"Manage passkeys, approval apps and browser notifications."`
	People    flag.For[usercommands.People]   `cmd:"" help:"Export or erase a user's data."`
	Approvals operations.Approvals            `cmd:"" help:"Decide what needs four eyes, by the admin API."`
	Audit     flag.For[auditCommand]          `cmd:"" help:"Verify, export and follow the audit log."`
	Migrate   flag.For[migrateCommand]        `cmd:"" help:"Show or apply database migrations."`
	Backup    backupCommand                   `cmd:"" help:"Back up the embedded database while the server runs."`
	Restore   restoreCommand                  `cmd:"" help:"Restore the embedded database from a backup."`
	Store     flag.For[storeCommand]          `cmd:"" help:"Copy the embedded database to PostgreSQL."`
	Why       watchcommands.Why               `cmd:"" help:"Explain why a request was refused, by its correlation id."`
	Check     flag.For[checkcommands.Check]   `cmd:"" help:"Say rule by rule whether a message of a client would be accepted."`
	Report    watchcommands.Report            `cmd:"" help:"Report availability and times to answer of a month."`
	Doctor    flag.For[doctorCommands]        `cmd:"" help:"Check the installation and report what to fix."`
	Profile   profileCommand                  `cmd:"" help:"List, explain and compare security profiles."`
	Conf      flag.For[configCommand]         `cmd:"" name:"config" help:"Print the configuration or its schema."`
	Version   setupcommands.Version           `cmd:"" help:"Print version and build information."`
}
