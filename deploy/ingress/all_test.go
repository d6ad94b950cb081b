//go:build ingress

package ingress

func started() []proxy { return append(everyRun(), withTag()...) }

// withTag are the ingresses that only make test-ingress starts.
func withTag() []proxy {
	return []proxy{
		{"apache", "apache2", "apache.conf", func(config, folder string) []string {
			return []string{"-X", "-f", config, "-d", folder, "-c", "PidFile " + folder + "/pid", "-c", "ErrorLog /dev/stderr", "-c", "Mutex file:" + folder}
		}},
		{"caddy", "caddy", "Caddyfile", func(config, _ string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", config}
		}},
	}
}
