package release

// Changelog is for tests.
func Changelog(source, version string) error { return Options{Source: source}.changelog(version) }
