package pool

import "strings"

// withoutMD5 is require_auth without MD5, which ends the program where FIPS 140-3 is enforced. In its place is SCRAM.
func withoutMD5(required string) string {
	switch names := strings.Contains(required, "md5"); {
	case required == "":
		return "!md5"
	case strings.HasPrefix(required, "!") && !names:
		return required + ",!md5"
	case !strings.HasPrefix(required, "!") && names:
		return "scram-sha-256"
	}
	return required
}
