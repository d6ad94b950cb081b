// Package finding names the rules that messages of clients are held to, so that what checks them can say of each what came of it.
//
// A check is written once, as a sequence of rules with their errors. The server takes the first error ([First]) and looks at
// nothing more; who wants an explanation takes them all. There is no second implementation that could see it otherwise.
package finding

import "iter"

// Rules, by the word that a report has for them. Some are of several kinds of messages.
const (
	Form        = "form"        // it can be taken apart
	Algorithm   = "alg"         // the algorithm is the client's
	Type        = "typ"         // the type of token
	Claims      = "claims"      // the claims can be read
	Members     = "members"     // no member that may not be inside
	Signature   = "signature"   // one of the keys made it
	Issuer      = "iss"         // who made it
	Subject     = "sub"         // whom it is about
	Parties     = "iss, sub"    // both
	Audience    = "aud"         // whom it is for
	Client      = "client_id"   // the client inside
	Present     = "times"       // both times are there
	Expiry      = "exp"         // it has not ended
	Lifetime    = "lifetime"    // it does not live too long
	NotBefore   = "nbf"         // it has begun
	Age         = "age"         // it is not too old
	IssuedAt    = "iat"         // it was made neither too long ago nor in the future
	ID          = "jti"         // it has a name of its own
	Replay      = "replay"      // it was not used before
	Key         = "jwk"         // its key is in it
	Method      = "htm"         // the method
	Address     = "htu"         // the address
	TokenHash   = "ath"         // the access token
	Nonce       = "nonce"       // it fits
	ServerNonce = "our nonce"   // it is the server's, where that demands one
	Parameters  = "parameters"  // what is inside can be read as parameters
	Binding     = "binding"     // the client's tokens are bound this way
	Given       = "given"       // the client may send it, or has to
	Complete    = "complete"    // what is outside is ignored
	Consent     = "lodged"      // the consent that it names
	Authorities = "authorities" // somebody is trusted
	Usage       = "usage"       // what the certificate is for
	Strength    = "strength"    // the key is strong
	Validity    = "validity"    // the time of the certificate
	Chain       = "chain"       // it leads to an authority
	Registered  = "registered"  // it is the client's
	TrustStore  = "trust store" // the named one exists
	Presented   = "presented"   // there is one
)

// Findings are rules in the order in which they are applied, each with the error that refuses the message, or nil. Rules that need
// what an earlier one has refused are left out.
type Findings = iter.Seq2[string, error]

// First applies rules up to the first that refuses, and returns its error.
func First(all Findings) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
