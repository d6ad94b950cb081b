// Package flag is the flag --issuer of commands about what is an issuer's.
package flag

import "github.com/alecthomas/kong"

// Chosen is the name of the issuer that a command is about; empty for that of the configuration file itself.
type Chosen struct{ Name string }

// Of is the flag, to be embedded in a command.
type Of struct {
	Issuer string `placeholder:"NAME" env:"COUNTERSIGN_ISSUER" help:"Which issuer, where the configuration has [[issuers]]; else that of the configuration file itself."`
}

// AfterApply is called by kong, which has to be given a [Chosen].
func (o Of) AfterApply(chosen *Chosen) error {
	if o.Issuer != "" {
		chosen.Name = o.Issuer
	}
	return nil
}

// For are commands that have the flag.
type For[Commands any] struct {
	Of
	Commands Commands `embed:""`
}

// Help implements kong.HelpProvider.
func (f For[Commands]) Help() string {
	if with, ok := any(f.Commands).(kong.HelpProvider); ok {
		return with.Help()
	}
	return ""
}
