// Package release makes what is published of a version: the binary, a tarball, a Debian package, a list of what is in it (SBOM), and
// their digests, signed. The same commit gives the same bytes in whatever folder it is built (SOURCE_DATE_EPOCH,
// https://reproducible-builds.org/specs/source-date-epoch/), with the Go that go.mod names and the same C compiler and libc.
package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// The tools, from the Go module proxy, pinned. go run keeps what it has built.
const (
	NFPM      = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.48.0"
	CycloneDX = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
)

// Module is the validated version of Go's FIPS 140-3 module that the package countersign-fips is built with.
const Module = "v1.0.0"

// Variant is a binary that is made of the same source.
type Variant struct {
	// Name is that of the package.
	Name string
	// environment and tags are those of the build.
	environment, tags []string
	// conflicts is the other package, which has the same files.
	conflicts string
}

// Variants are all of them: the ordinary one, and the one that is held to FIPS 140-3.
func Variants() []Variant {
	return []Variant{
		{Name: "countersign", environment: []string{"GOFIPS140=off"}, conflicts: "countersign-fips"},
		{Name: "countersign-fips", environment: []string{"GOFIPS140=" + Module}, tags: []string{"fips"}, conflicts: "countersign"},
	}
}

// Options say what is made.
type Options struct {
	// Source is a checkout of the repository, without changes, and Out the folder for what is made. It must not exist or be empty.
	Source, Out string
	// Key signs: the file of a private key of OpenSSH, or of a public one whose private half an ssh-agent has.
	Key string
	// Variants are those to make; nil is all.
	Variants []Variant
	// Cache is the folder of compiled packages; empty for Go's own.
	Cache string
	// Log is told what is done.
	Log io.Writer
}

// Build is what a binary says that it was made of (countersign version --json).
type Build struct {
	Version  string    `json:"version"`
	Commit   string    `json:"commit"`
	Date     time.Time `json:"date"`
	Modified bool      `json:"modified"`
	FIPS     struct {
		Mode   string `json:"mode"`
		Module string `json:"module"`
	} `json:"fips140"`
}

// ErrUnclean is a checkout that is not that of one commit: what would be made of it could not be made again.
var ErrUnclean = errors.New("release: the source is not exactly that of a commit; commit, tag, and take a checkout of its own (not a worktree)")

// Make makes everything, and verifies it. What was made before an error stays in Out.
func Make(ctx context.Context, o Options) error {
	for _, name := range []*string{&o.Source, &o.Out, &o.Key} {
		if *name == "" {
			continue
		}
		absolute, err := filepath.Abs(*name)
		if err != nil {
			return err
		}
		*name = absolute
	}
	if err := emptied(o.Out); err != nil {
		return err
	}
	if err := checkKey(ctx, o.Key); err != nil {
		return err
	}
	variants := o.Variants
	if variants == nil {
		variants = Variants()
	}
	for _, variant := range variants {
		if err := o.make(ctx, variant); err != nil {
			return err
		}
	}
	if err := o.sign(ctx); err != nil {
		return err
	}
	return Verify(ctx, o.Out)
}

// make makes what there is of one variant.
func (o Options) make(ctx context.Context, v Variant) error {
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	binary := filepath.Join(work, "countersign")
	build, err := o.Build(ctx, v, binary)
	if err != nil {
		return err
	}
	if err := o.changelog(build.Version); err != nil {
		return err
	}
	name := v.Name + "-" + build.Version + "-" + runtime.GOOS + "-" + runtime.GOARCH
	o.say("%s: tarball", name)
	if err := tarball(filepath.Join(o.Out, name+".tar.gz"), name, o.Source, binary, build.Date); err != nil {
		return err
	}
	o.say("%s: Debian package", name)
	if err := o.debian(ctx, v, build, work, binary); err != nil {
		return err
	}
	o.say("%s: list of components", name)
	return o.components(ctx, build, binary, filepath.Join(o.Out, name+".cdx.json"))
}

// Build builds a variant's binary and returns what it says of itself. The error is [ErrUnclean] when it is not of a commit.
func (o Options) Build(ctx context.Context, v Variant, binary string) (Build, error) {
	o.say("%s: build", v.Name)
	epoch, err := o.run(ctx, o.Source, nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return Build{}, fmt.Errorf("%w: %w", ErrUnclean, err)
	}
	environment := append([]string{"CGO_ENABLED=1", "GOFLAGS=", "GOWORK=off", "SOURCE_DATE_EPOCH=" + strings.TrimSpace(epoch)}, v.environment...)
	if o.Cache != "" {
		environment = append(environment, "GOCACHE="+o.Cache)
	}
	arguments := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-tags=" + strings.Join(v.tags, ","), "-o", binary, "./cmd/countersign"}
	if _, err := o.run(ctx, o.Source, environment, "go", arguments...); err != nil {
		return Build{}, err
	}
	text, err := o.run(ctx, o.Source, nil, binary, "version", "--json")
	if err != nil {
		return Build{}, err
	}
	var build Build
	if err := json.Unmarshal([]byte(text), &build); err != nil {
		return Build{}, fmt.Errorf("release: what the binary says of itself: %w", err)
	}
	if build.Commit == "" || build.Modified {
		return Build{}, ErrUnclean
	}
	return build, nil
}

// published is a version that is no pre-release (SemVer 2.0.0 §9), as a release's tag is.
var published = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// changelog refuses a version that the changelog does not name.
func (o Options) changelog(version string) error {
	text, err := os.ReadFile(filepath.Join(o.Source, "CHANGELOG.md"))
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	heading := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(strings.TrimPrefix(version, "v")) + `\] - \d{4}-\d\d-\d\d$`)
	if published.MatchString(version) && !heading.Match(text) {
		return fmt.Errorf("release: CHANGELOG.md has no section for %s, such as: ## [%s] - 2026-01-31", version, strings.TrimPrefix(version, "v"))
	}
	return nil
}

// run runs a program and returns what it writes to standard output; the error has what it writes to the other.
func (o Options) run(ctx context.Context, folder string, environment []string, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("release: %s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(problems.String()))
	}
	return string(output), nil
}

func (o Options) say(format string, arguments ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, format+"\n", arguments...)
	}
}

// emptied makes a folder that has to be new.
func emptied(name string) error {
	entries, err := os.ReadDir(name)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("release: %s is not empty; remove it first", name)
	}
	return os.MkdirAll(name, 0o755)
}
