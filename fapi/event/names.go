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
	HandOffAnswered    = "hand_off_answered"
)

// Names of what becomes of consents that clients lodge.
const (
	ConsentAuthorised         = "consent_authorised"
	ConsentRejected           = "consent_rejected"
	ConsentOfAnother          = "consent_of_another_user"
	ConsentSpent              = "consent_consumed"
	ConsentEnded              = "consent_ended"
	ConsentExpired            = "consent_expired"
	ConsentNoticeDelivered    = "consent_notice_delivered"
	ConsentNoticeNotDelivered = "consent_notice_not_delivered"
)

// Names of what users end in their own account.
const (
	AccessEnded        = "account_access_ended"
	SessionEnded       = "account_session_ended"
	SessionsEnded      = "account_sessions_ended"
	BrowsersForgotten  = "account_browsers_forgotten"
	BrowserForgotten   = "account_browser_forgotten"
	NotificationsEnded = "account_notifications_ended"
)
