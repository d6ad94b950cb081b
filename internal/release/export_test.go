package release

import "context"

// Changelog is for tests.
func Changelog(source, version string) error { return Options{Source: source}.changelog(version) }

// Signed signs what is in a folder, as the last step of [Make] does.
func Signed(ctx context.Context, folder, key string) error {
	if err := checkKey(ctx, key); err != nil {
		return err
	}
	return Options{Out: folder, Key: key}.sign(ctx)
}
