// Command countersign is the authorization server and everything that its operator needs: it makes keys, clients
// and users, migrates the store, checks an installation and shows the flow. See `countersign --help`.
//
// Here are flags, help, printing and exit codes. What the commands do is in the packages of internal: serve, ceremony,
// admin, auditlog, doctor, devsetup.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"countersign/fapi/profile"
	"countersign/internal/admin"
	"countersign/internal/ceremony"
	"countersign/internal/config"
	"countersign/internal/console"
	"countersign/internal/issuers"
	"countersign/internal/issuers/flag"
	"countersign/internal/operations"
	"countersign/internal/usercommands"
	"countersign/signer"
	"countersign/signer/pkcs11"
	_ "countersign/signer/pkcs11/selfworker" // as the child process that holds a PKCS#11 module, this program never comes to main
	"countersign/store"
)

// Exit codes, the same for all commands; 0 is success. From 64 on they are those of sysexits(3), so that what starts the
// program again can tell what a new start mends. docs/operations.md has them.
const (
	exitError       = 1  // it was tried and failed, or a check found a fault
	exitUsage       = 2  // the command line or the configuration is wrong: nothing was tried
	exitUnavailable = 69 // EX_UNAVAILABLE: the database or the HSM cannot be reached; a later start may
	exitPIN         = 77 // EX_NOPERM: the HSM refuses the PIN; it is not sent again before it changes
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with everything that it touches.
func run(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		arguments = []string{"--help"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	var cli commands
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	parsed, err := newParser(ctx, &cli, p).Parse(flagKeyIDs(arguments))
	if err != nil {
		fmt.Fprintf(stderr, "countersign: %v; see countersign --help\n", err)
		return exitUsage
	}
	p.arguments, p.configFile, p.admin = arguments, cli.Config, cli.Flags
	return p.fail(parsed.Run())
}

// newParser reads command lines into cli.
func newParser(ctx context.Context, cli *commands, p *program) *kong.Kong {
	parser, err := kong.New(cli,
		kong.Name("countersign"),
		kong.Description("A hardened OAuth 2.0 authorization server and OpenID Provider that speaks FAPI and signs in an HSM."),
		kong.Writers(p.stdout, p.stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{
			"profile": admin.DefaultProfile, "profiles": strings.Join(profile.Bases(), ", ") + ", or another of countersign profile list",
			"uses": strings.Join(slices.Concat(ceremony.Uses(string(signer.ES256)), ceremony.Uses(string(signer.ECDHES))), ","),
		},
		kong.Bind(p, &p.issuer, &operations.Terminal{Stdout: p.stdout, Remote: p.remote}),
		kong.BindToProvider(func() (*usercommands.Program, error) { return p.userCommands(), nil }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the commands of this program do not fit together: no input can cause it
	}
	return parser
}

// hyphenKeyID is a kid that looks like a flag: one in 64 begins with a hyphen.
var hyphenKeyID = regexp.MustCompile(`^-[A-Za-z0-9_-]{42}$`)

// flagKeyIDs gives a kid that looks like a flag its name, --kid, so that it may be written like any other.
func flagKeyIDs(arguments []string) []string {
	named := slices.Clone(arguments)
	for i, argument := range arguments {
		if argument == "--" {
			break
		}
		if hyphenKeyID.MatchString(argument) {
			named[i] = "--kid=" + argument
		}
	}
	return named
}

// program is what every command works with.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	// arguments are the command line.
	arguments []string
	// configFile is the --config flag, or empty.
	configFile string
	// admin are the flags of the admin API.
	admin operations.Flags
	// issuer is the --issuer flag.
	issuer flag.Chosen
}

// fail prints what went wrong and returns the exit code; 0 for nil.
func (p *program) fail(err error) int {
	if err == nil {
		return 0
	}
	if report, ok := errors.AsType[*config.Report](err); ok {
		fmt.Fprintf(p.stderr, "countersign: the configuration has %s:\n%s\n", console.Count(len(report.Problems), "problem"), report)
		return exitUsage
	}
	if _, ok := errors.AsType[silentError](err); ok {
		return exitError // the command has said everything
	}
	// One line, whatever was joined.
	fmt.Fprintf(p.stderr, "countersign: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	_, wrongUse := errors.AsType[*admin.UsageError](err)
	switch {
	case wrongUse, errors.Is(err, issuers.ErrUnknown), p.named(err):
		return exitUsage
	case errors.Is(err, pkcs11.ErrOperator):
		return exitPIN
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, signer.ErrUnavailable):
		return exitUnavailable
	}
	return exitError
}

// named reports whether an error is about a file that the command line names, and that cannot be opened.
func (p *program) named(err error) bool {
	about, ok := errors.AsType[*fs.PathError](err)
	closed := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR)
	return ok && closed && slices.ContainsFunc(p.arguments, func(argument string) bool {
		_, value, _ := strings.Cut(argument, "=") // of --file=NAME
		return sameFile(argument, about.Path) || value != "" && sameFile(value, about.Path)
	})
}

// sameFile reports whether two names are of one file, wherever they start.
func sameFile(a, b string) bool {
	absolute, err := filepath.Abs(a)
	other, errOther := filepath.Abs(b)
	return err == nil && errOther == nil && absolute == other
}

// silentError ends a command that has already printed why.
type silentError struct{}

// Error implements error.
func (silentError) Error() string { return "failed" }

// printf writes to the operator.
func (p *program) printf(format string, arguments ...any) {
	fmt.Fprintf(p.stdout, format, arguments...)
}

// configPath is the configuration file to use: the flag, the environment, or the usual places.
func (p *program) configPath() (string, error) {
	if p.configFile != "" {
		return p.configFile, nil
	}
	usual := []string{"countersign.toml", "local/countersign.toml"}
	for _, name := range usual {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", admin.Usagef("there is no configuration: neither --config nor COUNTERSIGN_CONFIG is given, and %s do not exist; `countersign init --dev` makes one to try", strings.Join(usual, " and "))
}

// loadConfig reads the configuration with everything that it names.
func (p *program) loadConfig() (*config.Config, error) { return p.load(config.Load) }

func (p *program) load(load func(string) (*config.Config, error)) (*config.Config, error) {
	path, err := p.configPath()
	if err != nil {
		return nil, err
	}
	c, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, admin.Usagef("there is no configuration file %s; `countersign init` makes one", path)
	}
	if about, ok := errors.AsType[*fs.PathError](err); ok && about.Path == path { // a folder, or closed to this user
		return nil, admin.Usagef("%v", err)
	}
	if err != nil {
		return nil, err
	}
	return issuers.Named(c, p.issuer.Name)
}
