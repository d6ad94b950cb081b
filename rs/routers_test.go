package rs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Covers: RS-25. The guard in chi, gin and echo: they are in a module of their own, testdata/routers, which is built and run here.
func TestRS25Routers(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "routers.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Dir = filepath.Join("testdata", "routers")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the Go module proxy has to be reachable, once: %v\n%s", err, output)
	}
	for _, router := range []string{"chi", "gin", "echo"} {
		for _, what := range []string{"accepts", "refuses"} {
			t.Run(what+" in "+router, func(t *testing.T) {
				output, err := exec.Command(binary, "-test.v", "-test.run", "^TestRouters$/^"+router+"$/^"+what+"$").CombinedOutput()
				if err != nil || !strings.Contains(string(output), "--- PASS: TestRouters/"+router+"/"+what) {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
	}
}
