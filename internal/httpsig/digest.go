package httpsig

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"net/http"

	"github.com/dunglas/httpsfv"
)

// Digest is the Content-Digest of a body, with SHA-256 (RFC 9530 §2).
func Digest(body []byte) string {
	digest := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
}

// CheckDigest holds a body to its Content-Digest: every digest of a known algorithm must be right, and there must be
// one. sha-256 and sha-512 are known; the others of the registry are broken. Errors wrap [ErrRefused].
func CheckDigest(header http.Header, body []byte) error {
	digests, err := dictionary(header, "Content-Digest")
	if err != nil {
		return err
	}
	short, long := sha256.Sum256(body), sha512.Sum512(body)
	known := 0
	for name, right := range map[string][]byte{"sha-256": short[:], "sha-512": long[:]} {
		member, there := digests.Get(name)
		if !there {
			continue
		}
		known++
		item, ok := member.(httpsfv.Item)
		if !ok {
			return refuse("the digest %s is no byte sequence", name)
		}
		if said, ok := item.Value.([]byte); !ok || subtle.ConstantTimeCompare(said, right) != 1 {
			return refuse("the body is not the one of the Content-Digest")
		}
	}
	if known == 0 {
		return refuse("the Content-Digest has no digest with sha-256 (RFC 9530)")
	}
	return nil
}
