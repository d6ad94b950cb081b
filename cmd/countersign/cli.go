package main

// commands is the command line.
type commands struct {
	Config string `placeholder:"FILE" env:"COUNTERSIGN_CONFIG" help:"Configuration file; else ./countersign.toml or ./local/countersign.toml."`

	Serve   serveCommand   `cmd:"" help:"Run the authorization server."`
	Init    initCommand    `cmd:"" help:"Write a configuration; with --dev, make everything to try it on this machine."`
	Demo    demoCommand    `cmd:"" help:"Show the whole flow, as a client lives it, each message explained."`
	Keys    keysCommand    `cmd:"" help:"Make, activate and retire signing keys."`
	Clients clientsCommand `cmd:"" help:"Register clients."`
	Users   usersCommand   `cmd:"" help:"Keep the built-in user directory."`
	Grants  grantsCommand  `cmd:"" help:"List and end what people and clients were granted."`
	Devices devicesCommand `cmd:"" help:"Keep what people confirm with: applications, passkeys, browsers."`
	People  peopleCommand  `cmd:"" help:"Tell what is stored about a person, and erase it."`
	Audit   auditCommand   `cmd:"" help:"Verify, export and follow the audit log."`
	Migrate migrateCommand `cmd:"" help:"Keep the store's schema."`
	Backup  backupCommand  `cmd:"" help:"Copy the embedded database, while the server runs."`
	Restore restoreCommand `cmd:"" help:"Put a copy in the place of the embedded database."`
	Store   storeCommand   `cmd:"" help:"Copy the store from the embedded database to PostgreSQL."`
	Doctor  doctorCommands `cmd:"" help:"Check the installation and say what to mend."`
	Conf    configCommand  `cmd:"" name:"config" help:"Show the configuration or its schema."`
	Version versionCommand `cmd:"" help:"Tell what this program was built from."`
}
