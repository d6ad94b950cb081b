package event

// Names of the security events of the ordinary flow; docs/audit.md has the table of all.
const (
	SignedIn           = "signed_in"
	SignInFailed       = "sign_in_failed"
	SignInThrottled    = "sign_in_throttled"
	StepUpRequired     = "step_up_required"
	ConsentShown       = "consent_shown"
	ConsentDecided     = "consent_decided"
	BackchannelDecided = "backchannel_decided"
	RequestEnded       = "request_ended"
	GrantMade          = "grant_made"
	TokensIssued       = "tokens_issued"
	GrantRefreshed     = "grant_refreshed"
	GrantRevoked       = "grant_revoked"
	CodeUsedTwice      = "code_used_twice"
	AccessTokenRevoked = "access_token_revoked"
	SignedOut          = "signed_out"
	LogoutDelivered    = "logout_delivered"
	LogoutNotDelivered = "logout_not_delivered"
)
