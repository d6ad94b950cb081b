package release

import (
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// DebianVersion is a version as Debian orders it: a pre-release before its release (deb-version(7)).
func DebianVersion(version string) string {
	number, rest, pre := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	if !pre {
		return number
	}
	return number + "~" + strings.ReplaceAll(rest, "-", ".")
}

// nfpmConfig is that of the package. Owners of folders are given by its scripts, since the group does not exist before.
var nfpmConfig = template.Must(template.New("").Parse(`name: {{.Name}}
arch: {{.Arch}}
platform: linux
version: "{{.Version}}"
version_schema: none
section: net
priority: optional
maintainer: Countersign
description: |-
  OAuth 2.0 authorization server and OpenID Provider for FAPI
  Speaks only the high-security profiles, and signs with keys in an HSM.{{if .FIPS}}
  This build has Go's FIPS 140-3 module {{.FIPS}}, and refuses what is not approved.{{end}}
homepage: https://openid.net/wg/fapi/
license: Apache-2.0
mtime: {{.Time}}
depends: ["libc6 (>= {{.GLIBC}})", passwd]
recommends: [ca-certificates]
suggests: [softhsm2, postgresql]
provides: [countersign-server]
conflicts: [{{.Conflicts}}]
replaces: [{{.Conflicts}}]
contents:
  - {src: {{.Binary}}, dst: /usr/bin/countersign, file_info: {mode: 0755}}
  - {src: deploy/systemd/countersign.service, dst: /usr/lib/systemd/system/countersign.service, file_info: {mode: 0644}}
  - {src: deploy/debian/default, dst: /etc/default/countersign, type: config, file_info: {mode: 0644}}
  - {src: deploy/debian/copyright, dst: /usr/share/doc/{{.Name}}/copyright, file_info: {mode: 0644}}
  - {src: {{.Changelog}}, dst: /usr/share/doc/{{.Name}}/changelog.gz, file_info: {mode: 0644}}{{range .Files}}
  - {src: {{.}}, dst: /usr/share/doc/countersign/{{.}}, file_info: {mode: 0644}}{{end}}
scripts:
  postinstall: deploy/debian/postinst
  preremove: deploy/debian/prerm
  postremove: deploy/debian/postrm
deb:
  compression: gzip
`))

// debian makes the package.
func (o Options) debian(ctx context.Context, v Variant, build Build, work, binary string) error {
	least, err := glibc(binary)
	if err != nil {
		return err
	}
	changelog := filepath.Join(work, "changelog.gz")
	if err := compressed(filepath.Join(o.Source, "CHANGELOG.md"), changelog); err != nil {
		return err
	}
	var files []string
	for _, folder := range []string{"docs", "deploy/systemd"} {
		below, err := listed(o.Source, folder)
		if err != nil {
			return err
		}
		for _, name := range below {
			if strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".conf") {
				files = append(files, name)
			}
		}
	}
	configuration, err := os.Create(filepath.Join(work, "nfpm.yaml"))
	if err != nil {
		return err
	}
	module := ""
	if v.tags != nil {
		module = Module
	}
	err = nfpmConfig.Execute(configuration, map[string]any{
		"Name": v.Name, "Arch": runtime.GOARCH, "Version": DebianVersion(build.Version), "FIPS": module, "Time": build.Date.UTC().Format(time.RFC3339),
		"GLIBC": least, "Conflicts": v.conflicts, "Binary": binary, "Changelog": changelog, "Files": files,
	})
	if err := errors.Join(err, configuration.Close()); err != nil {
		return err
	}
	target := filepath.Join(o.Out, v.Name+"_"+DebianVersion(build.Version)+"_"+runtime.GOARCH+".deb")
	_, err = o.run(ctx, o.Source, nil, "go", "run", NFPM, "package", "--config", configuration.Name(), "--packager", "deb", "--target", target)
	return err
}

// versioned is a version of the C library that a program wants.
var versioned = regexp.MustCompile(`^GLIBC_2\.(\d+)`)

// glibc is the least version of the C library that a binary runs with, of those that its symbols name.
func glibc(binary string) (string, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("release: %w", err)
	}
	defer file.Close()
	symbols, err := file.ImportedSymbols()
	if err != nil {
		return "", fmt.Errorf("release: the symbols of the binary: %w", err)
	}
	least := 0
	for _, symbol := range symbols {
		if found := versioned.FindStringSubmatch(symbol.Version); found != nil {
			minor, err := strconv.Atoi(found[1])
			if err != nil {
				return "", err
			}
			least = max(least, minor)
		}
	}
	if least == 0 {
		return "", errors.New("release: the binary wants no version of the C library: it was built without cgo")
	}
	return "2." + strconv.Itoa(least), nil
}

// compressed writes a file as gzip does, without name and time.
func compressed(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	writer, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	_, err = writer.Write(text)
	return errors.Join(err, writer.Close(), file.Close())
}
