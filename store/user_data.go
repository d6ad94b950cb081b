package store

import "context"

// UserData is everything that is stored about one user, without secrets: no password, no code, no token, and what names
// a session is only its digest.
type UserData struct {
	// User is without Password and UserCode. Its Subject is empty for a user of an external directory.
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
	// Standings are what the user decided about organisations that ask over the backchannel.
	Standings []BackchannelStanding
	// Browsers are those that are known.
	Browsers []KnownBrowser
	// Lodged are the consents that clients lodged and the user authorised.
	Lodged []LodgedConsent
}

// DataSubjects are the verbs for the rights of data subjects: access and erasure (GDPR Articles 15 and 17).
type DataSubjects interface {
	// UserData gathers what is stored about a subject, also about one that was erased; ErrNotFound when nothing is.
	UserData(ctx context.Context, subject string) (UserData, error)
	// EraseUser erases a user in one transaction: the grants are revoked, and what they hold in detail is
	// emptied; sign-ins (of whose end clients are told, see [Logouts]), consents (what lodged ones have about the user, too; see [Consents]), passkeys, devices, enrolments, subscriptions and backchannel requests are removed; name,
	// password and claims are removed. What stays is a User with the subject, an ErasedAt and no way to sign in, so that
	// the subject is never assigned to another user. Erasing twice is no error; ErrNotFound when nothing is stored. The
	// audit log is left as it is: it names users by their subject.
	EraseUser(ctx context.Context, subject string, evidence ...Evidence) error
	// EndSessions removes the sessions of a subject and the enrolment codes that wait for a device, and enqueues the notices
	// of the sessions' end. None is no error. Sessions that are stored later and are of an earlier epoch (see [Session].Epoch)
	// have ended too. The evidence is stored in the same transaction.
	EndSessions(ctx context.Context, subject string, evidence ...Evidence) error
}
