package hsm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/config"
	"countersign/internal/hsm"
)

// TestSettings: a replica takes from the first token what it leaves out, but not the parameters of another module.
func TestSettings(t *testing.T) {
	first := config.Replica{Module: "nss.so", Token: "a", PINFile: "pin", Environment: map[string]string{"A": "1"}, Parameters: "configdir='a'"}
	given := func(replica config.Replica) config.Replica {
		return hsm.Settings(config.Signer{
			Module: first.Module, Token: first.Token, PINFile: first.PINFile, Environment: first.Environment, Parameters: first.Parameters,
			Replicas: []config.Replica{replica},
		})[1]
	}
	for _, c := range []struct {
		name       string
		give, want config.Replica
	}{
		{"all", config.Replica{Token: "b"}, config.Replica{
			Module: "nss.so", Token: "b", PINFile: "pin", Environment: map[string]string{"A": "1"}, Parameters: "configdir='a'",
		}},
		{"not the parameters, which it has", config.Replica{Token: "a", Parameters: "configdir='b'"}, config.Replica{
			Module: "nss.so", Token: "a", PINFile: "pin", Environment: map[string]string{"A": "1"}, Parameters: "configdir='b'",
		}},
		{"not the parameters of another module", config.Replica{Module: "other.so", Token: "b"}, config.Replica{
			Module: "other.so", Token: "b", PINFile: "pin", Environment: map[string]string{"A": "1"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if difference := cmp.Diff(c.want, given(c.give)); difference != "" {
				t.Errorf("-want +got\n%s", difference)
			}
		})
	}
}
