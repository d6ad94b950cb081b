package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	jose "github.com/go-jose/go-jose/v4"

	"countersign/internal/strictjson"
)

// Sizes of RSA keys, in bits: FAPI 2.0 Security Profile §5.4.1-2 sets the lower bound, the cost of verification the
// upper one.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// Key is a public key with what its JWK says about it (RFC 7517 §4).
type Key struct {
	// ID is kid, or empty.
	ID string
	// Algorithm is alg, or empty: any that fits the key.
	Algorithm string
	// Use is use, or empty: any.
	Use string
	// Public is an *rsa.PublicKey, an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey.
	Public crypto.PublicKey

	operations []string
	thumbprint string
}

// Thumbprint is the JWK SHA-256 thumbprint of the key (RFC 7638) in base64url.
func (k Key) Thumbprint() string { return k.thumbprint }

// Verifies reports whether the key may verify signatures made with an algorithm of JWS.
func (k Key) Verifies(algorithm string) bool {
	return (k.Use == "" || k.Use == "sig") &&
		(k.Algorithm == "" || canonicalAlgorithm(k.Algorithm) == algorithm) &&
		(k.operations == nil || slices.Contains(k.operations, "verify")) &&
		fits(algorithm, k.Public)
}

// NewKey describes a public key for publication. Algorithm may be empty. Errors are those of [Thumbprint].
func NewKey(id, algorithm string, public crypto.PublicKey) (Key, error) {
	thumbprint, err := Thumbprint(public)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, Algorithm: algorithm, Use: "sig", Public: public, thumbprint: thumbprint}, nil
}

// MarshalJSON writes the public JWK.
func (k Key) MarshalJSON() ([]byte, error) {
	return jose.JSONWebKey{Key: k.Public, KeyID: k.ID, Algorithm: k.Algorithm, Use: k.Use}.MarshalJSON()
}

// Thumbprint is the JWK SHA-256 thumbprint of a public key (RFC 7638) in base64url. Errors wrap [ErrMalformed]: the
// key is of a kind that has no JWK here, or an Ed25519 point of low order.
func Thumbprint(public crypto.PublicKey) (string, error) {
	switch public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return "", fmt.Errorf("%w: a key of kind %T has no thumbprint", ErrMalformed, public)
	}
	digest, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("%w: the public key is not a valid one", ErrMalformed)
	}
	return base64.RawURLEncoding.EncodeToString(digest), nil
}

// errUnknownKey is a JWK of a kind that this package does not use.
var errUnknownKey = errors.New("unknown kind of key")

// wireKey has the members of a JWK that are read or refused (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type wireKey struct {
	Type         string   `json:"kty"`
	Use          string   `json:"use"`
	Operations   []string `json:"key_ops"`
	Algorithm    string   `json:"alg"`
	ID           string   `json:"kid"`
	Curve        string   `json:"crv"`
	X            string   `json:"x"`
	Y            string   `json:"y"`
	Modulus      string   `json:"n"`
	Exponent     string   `json:"e"`
	Certificates []string `json:"x5c"`

	D  json.RawMessage `json:"d"`
	P  json.RawMessage `json:"p"`
	Q  json.RawMessage `json:"q"`
	DP json.RawMessage `json:"dp"`
	DQ json.RawMessage `json:"dq"`
	QI json.RawMessage `json:"qi"`
	// OtherPrimes, Seed and Secret: RFC 7518 §6.3.2.7, RFC 9964, RFC 7518 §6.4.1.
	OtherPrimes json.RawMessage `json:"oth"`
	Seed        json.RawMessage `json:"priv"`
	Secret      json.RawMessage `json:"k"`
}

// ParsePublicJWK reads one public key: RSA of 2048 to 4096 bits, P-256 or Ed25519. Private members and symmetric keys
// are refused. Errors wrap [ErrMalformed].
func ParsePublicJWK(raw []byte) (Key, error) {
	if len(raw) > MaxTokenSize {
		return Key{}, fmt.Errorf("%w: the key is larger than %d bytes", ErrMalformed, MaxTokenSize)
	}
	var wire wireKey
	if err := strictjson.DecodeObject(raw, &wire); err != nil {
		return Key{}, err
	}
	key, err := wire.key()
	if errors.Is(err, errUnknownKey) {
		return Key{}, fmt.Errorf("%w: the key must be RSA, EC with P-256 or OKP with Ed25519", ErrMalformed)
	}
	return key, err
}

// key builds and checks the key. It returns errUnknownKey for kinds that are not used here.
func (w *wireKey) key() (Key, error) {
	for _, private := range []json.RawMessage{w.D, w.P, w.Q, w.DP, w.DQ, w.QI, w.OtherPrimes, w.Seed, w.Secret} {
		if private != nil {
			return Key{}, fmt.Errorf("%w: the key has private members; send the public key only", ErrMalformed)
		}
	}
	if w.Type == "oct" {
		return Key{}, fmt.Errorf("%w: symmetric keys are not accepted", ErrMalformed)
	}
	if len(w.ID) > MaxKeyID {
		return Key{}, fmt.Errorf("%w: a kid may have %d bytes", ErrMalformed, MaxKeyID)
	}
	key := Key{ID: w.ID, Algorithm: w.Algorithm, Use: w.Use, operations: w.Operations}
	var err error
	switch {
	case w.Type == "":
		err = fmt.Errorf("%w: the key has no kty", ErrMalformed)
	case w.Type == "RSA":
		key.Public, err = w.rsaKey()
	case w.Type == "EC" && w.Curve == "P-256":
		key.Public, err = w.p256Key()
	case w.Type == "OKP" && w.Curve == "Ed25519":
		key.Public, err = w.ed25519Key()
	default:
		err = errUnknownKey
	}
	if err != nil {
		return Key{}, err
	}
	if key.thumbprint, err = Thumbprint(key.Public); err != nil { // refuses Ed25519 points of low order
		return Key{}, err
	}
	if len(w.Certificates) > 0 {
		err = checkCertificate(w.Certificates[0], key.Public)
	}
	return key, err
}

func (w *wireKey) rsaKey() (crypto.PublicKey, error) {
	modulus, err := decodeBase64("member n", w.Modulus)
	if err != nil {
		return nil, err
	}
	exponent, err := decodeBase64("member e", w.Exponent)
	if err != nil {
		return nil, err
	}
	return rsaPublic(modulus, exponent)
}

// rsaPublic makes an RSA key of two numbers without leading zeros.
func rsaPublic(modulus, exponent []byte) (crypto.PublicKey, error) {
	if len(modulus) > maxRSABits/8 || len(exponent) > 4 || padded(modulus) || padded(exponent) {
		// RFC 7518 §6.3.1, §2: the shortest octets that hold the number
		return nil, fmt.Errorf("%w: an RSA key needs %d to %d bits and an exponent below 2^32", ErrMalformed, minRSABits, maxRSABits)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if err := checkRSA(public); err != nil {
		return nil, err
	}
	return public, nil
}

// padded reports whether a number is empty or has leading zeros.
func padded(octets []byte) bool { return len(octets) == 0 || octets[0] == 0 }

// checkRSA bounds an RSA key: what is too small is weak, what is too large costs too much.
func checkRSA(public *rsa.PublicKey) error {
	bits := public.N.BitLen()
	switch {
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("%w: an RSA key needs %d to %d bits", ErrMalformed, minRSABits, maxRSABits)
	case public.N.Bit(0) == 0:
		return fmt.Errorf("%w: an RSA modulus is odd", ErrMalformed)
	case public.E <= 3 || public.E%2 == 0 || int64(public.E) >= 1<<32:
		return fmt.Errorf("%w: an RSA exponent is odd, above 3 and below 2^32", ErrMalformed)
	}
	return nil
}

func (w *wireKey) p256Key() (crypto.PublicKey, error) {
	x, err := decodeBase64("member x", w.X)
	if err != nil {
		return nil, err
	}
	y, err := decodeBase64("member y", w.Y)
	if err != nil {
		return nil, err
	}
	return ecPublic(elliptic.P256(), x, y)
}

// ecPublic makes a key of a curve and two coordinates of full size.
func ecPublic(curve elliptic.Curve, x, y []byte) (crypto.PublicKey, error) {
	name, size := curve.Params().Name, coordinateSize(curve)
	if len(x) != size || len(y) != size { // RFC 7518 §6.2.1.2: full size
		return nil, fmt.Errorf("%w: x and y of a %s key have %d bytes", ErrMalformed, name, size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("%w: the point is not on %s", ErrMalformed, name)
	}
	return public, nil
}

// coordinateSize is the size of a coordinate, in bytes.
func coordinateSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }

func (w *wireKey) ed25519Key() (crypto.PublicKey, error) {
	x, err := decodeBase64("member x", w.X)
	if err != nil {
		return nil, err
	}
	return ed25519Public(x)
}

func ed25519Public(x []byte) (crypto.PublicKey, error) {
	if len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: x of an Ed25519 key has 32 bytes", ErrMalformed)
	}
	if !onEdwards25519(x) {
		return nil, fmt.Errorf("%w: the point is not on the curve of Ed25519", ErrMalformed)
	}
	return ed25519.PublicKey(x), nil
}

// onEdwards25519 reports whether octets encode a point (RFC 8032 §5.1.3): y is below p, and (y²-1)/(dy²+1) has a square
// root. The standard library decides that only when it verifies.
func onEdwards25519(encoded []byte) bool {
	littleEndian := slices.Clone(encoded)
	littleEndian[31] &= 0x7f // the sign of x
	slices.Reverse(littleEndian)
	y := new(big.Int).SetBytes(littleEndian)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	if y.Cmp(p) >= 0 {
		return false
	}
	// With d = -121665/121666, both halves times 121666: u = 121666(y²-1), v = 121666-121665y². Then u/v is a square
	// if and only if uv is one.
	square := new(big.Int).Mul(y, y)
	u := new(big.Int).Mul(big.NewInt(121666), new(big.Int).Sub(square, big.NewInt(1)))
	v := new(big.Int).Sub(big.NewInt(121666), new(big.Int).Mul(big.NewInt(121665), square))
	return big.Jacobi(u.Mul(u, v).Mod(u, p), p) >= 0
}

// checkCertificate reads the first certificate of x5c, which must hold the key itself (RFC 7517 §4.7). It is plain
// base64 there, not base64url.
func checkCertificate(encoded string, public crypto.PublicKey) error {
	der, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("%w: x5c is not base64", ErrMalformed)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("%w: x5c does not begin with a certificate", ErrMalformed)
	}
	same, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !same.Equal(public) {
		return errOtherCertificate
	}
	return nil
}

// errOtherCertificate is an x5c that does not belong to its key.
var errOtherCertificate = fmt.Errorf("%w: the certificate in x5c is for another key", ErrMalformed)
