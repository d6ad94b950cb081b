package release

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ErrComponents: a list of components is not that of a binary.
var ErrComponents = errors.New("release: the list of components is not that of the binary")

// components writes what is in the binary, as CycloneDX has it, and checks it.
func (o Options) components(ctx context.Context, build Build, binary, to string) error {
	if _, err := o.run(ctx, "", nil, "go", "run", CycloneDX, "bin", "-json", "-noserial", "-notimestamp", "-std", "-version", build.Version,
		"-output", to, binary); err != nil {
		return err
	}
	return CheckComponents(to, binary)
}

// CheckComponents holds a list to its binary: it is CycloneDX, names the version, and has exactly the modules that Go has linked in,
// with their versions and digests, and the standard library. Errors are [ErrComponents].
func CheckComponents(file, binary string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type component struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
		Hashes  []struct {
			Algorithm string `json:"alg"`
			Content   string `json:"content"`
		} `json:"hashes"`
	}
	var list struct {
		Format   string `json:"bomFormat"`
		Spec     string `json:"specVersion"`
		Metadata struct {
			Component component `json:"component"`
		} `json:"metadata"`
		Components []component `json:"components"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("%w: %w", ErrComponents, err)
	}
	linked, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	if list.Format != "CycloneDX" || list.Spec == "" || list.Metadata.Component.Version != linked.Main.Version {
		return fmt.Errorf("%w: it is %s %s of %s, and the binary is %s", ErrComponents, list.Format, list.Spec, list.Metadata.Component.Version, linked.Main.Version)
	}
	want := []string{"std " + linked.GoVersion}
	for _, module := range linked.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		want = append(want, module.Path+" "+module.Version)
	}
	var got []string
	for _, each := range list.Components {
		got = append(got, each.Name+" "+each.Version)
		if !strings.HasPrefix(each.PURL, "pkg:golang/"+each.Name+"@") || each.Name != "std" && len(each.Hashes) == 0 {
			return fmt.Errorf("%w: %s has no digest, or the address %s", ErrComponents, each.Name, each.PURL)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: it has %q, the binary %q", ErrComponents, got, want)
	}
	return nil
}
