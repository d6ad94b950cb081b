package store

import "context"

// Person is everything that is stored about one person, without secrets: no password, no code, no token, and what names
// a session is only its digest.
type Person struct {
	// User is without Password and UserCode. Its Subject is empty for a person of another directory.
	User          User
	Sessions      []Session
	Consents      []Consent
	Grants        []Grant
	Passkeys      []Passkey
	Devices       []Device
	Subscriptions []Subscription
	// Enrolments are without their ID.
	Enrolments []Enrolment
	// Backchannel are without Ping.
	Backchannel []BackchannelRequest
}

// People are the verbs of what is known about a person, to tell it and to end it.
type People interface {
	// Person gathers what is stored about a subject, also about one that was erased; ErrNotFound when nothing is.
	Person(ctx context.Context, subject string) (Person, error)
	// ErasePerson ends and forgets a person in one transaction: the grants are revoked, and what they hold in detail is
	// emptied; sign-ins, consents, passkeys, devices, enrolments, subscriptions and backchannel requests are removed; name,
	// password and claims are taken away. What stays is a User with the subject, an ErasedAt and no way to sign in, so that
	// the subject is never given to somebody else. Erasing twice is no error; ErrNotFound when nothing is stored. The
	// audit log is left as it is: it names people by their subject.
	ErasePerson(ctx context.Context, subject string, evidence ...Evidence) error
}
