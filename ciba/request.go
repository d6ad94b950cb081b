package ciba

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/internal/strictjson"
)

// The kinds of hint that say who is to be asked (CIBA Core §7.1).
const (
	LoginHint      = "login_hint"
	LoginHintToken = "login_hint_token"
	IDTokenHint    = "id_token_hint"
)

// Request is a well-formed backchannel authentication request. Which user the hint names, and whether the client may have
// the scope, is for the caller to find out.
type Request struct {
	Scope []string
	// HintKind is LoginHint, LoginHintToken or IDTokenHint, and Hint its value.
	HintKind, Hint string
	ACRValues      []string
	BindingMessage string
	// UserCode is a secret of the user: never to be logged.
	UserCode string
	// NotificationToken is the bearer token of the ping, empty for clients that poll: never to be logged.
	NotificationToken string
	// Lifetime is how long the request waits for a decision.
	Lifetime time.Duration
	// Context is what the client tells about the circumstances, a JSON object (FAPI-CIBA §5.2.5), or nil.
	Context json.RawMessage
}

// Policy says which requests are accepted.
type Policy struct {
	// Ping is whether the client registered the ping mode; a client that polls is told by its polling alone.
	Ping bool
	// NeedBindingMessage is FAPI-CIBA §5.2.2-2, for servers that give no other unique context: what is asked for is not acceptable
	// without one (invalid_binding_message).
	NeedBindingMessage bool
	// RequireBindingMessage makes binding_message a required parameter, whatever is asked for: a request without it lacks one
	// (invalid_request, CIBA Core §13). It takes precedence over NeedBindingMessage.
	RequireBindingMessage bool
	// MinBindingMessage and MaxBindingMessage bound the length of binding_message, in characters; 0 for none and for
	// [MaxBindingMessage].
	MinBindingMessage, MaxBindingMessage int
	// IgnoreExpiry leaves requested_expiry out of account, once it has been read.
	IgnoreExpiry bool
	// NeedUserCode is whether client and server use user codes (backchannel_user_code_parameter).
	NeedUserCode bool
	// Lifetime is that of a request that asks for none, and MaxLifetime what a requested_expiry is cut to.
	Lifetime, MaxLifetime time.Duration
}

// The bounds of what a client may send, in bytes. A notification token has at most 1024 characters (§7.1) and at least
// the 22 that 128 bits need in base64url (§10.2).
const (
	minNotificationToken, maxNotificationToken = 22, 1024
	maxHint, maxText, maxContext               = 8 << 10, 1 << 10, 8 << 10
)

// Read makes a request of its parameters (CIBA Core §7.1). Values are used as they
// are and not kept; a parameter without a value has to be left out before. Each parameter may be there once, but for
// resource (RFC 8707 §2), which is left to the caller like every parameter that CIBA shares with other authorization
// requests. Errors are of type [*Error].
func (p Policy) Read(values url.Values) (Request, error) {
	for name, list := range values {
		if len(list) > 1 && name != "resource" {
			return Request{}, refuse(InvalidRequest, "a parameter stands more than once; each may stand once")
		}
	}
	request := Request{
		Scope: strings.Fields(values.Get("scope")), ACRValues: strings.Fields(values.Get("acr_values")),
		BindingMessage: Plain(values.Get("binding_message")), UserCode: values.Get("user_code"), Lifetime: p.Lifetime,
	}
	if len(values.Get("scope")) > maxText || len(values.Get("acr_values")) > maxText || len(request.UserCode) > maxText {
		return Request{}, refuse(InvalidRequest, "scope, acr_values and user_code may have at most %d bytes", maxText)
	}
	if !slices.Contains(request.Scope, "openid") {
		return Request{}, refuse(InvalidScope, "scope must hold openid")
	}
	for _, read := range []func(*Request, url.Values) error{readHint, p.readMessage, p.readNotification, p.readExpiry, readContext} {
		if err := read(&request, values); err != nil {
			return Request{}, err
		}
	}
	return request, nil
}

func readHint(request *Request, values url.Values) error {
	for _, kind := range []string{LoginHint, LoginHintToken, IDTokenHint} {
		switch hint := values.Get(kind); {
		case hint == "":
		case request.HintKind != "":
			return refuse(InvalidRequest, "%s and %s stand together; exactly one hint is right", request.HintKind, kind)
		case len(hint) > maxHint:
			return refuse(InvalidRequest, "%s has more than %d bytes", kind, maxHint)
		default:
			request.HintKind, request.Hint = kind, hint
		}
	}
	if request.HintKind == "" {
		return refuse(InvalidRequest, "exactly one of login_hint, login_hint_token and id_token_hint is needed")
	}
	return nil
}

func (p Policy) readMessage(request *Request, values url.Values) error {
	if p.NeedUserCode && request.UserCode == "" {
		return refuse(MissingUserCode, "this client has to send user_code")
	}
	if values.Has("binding_message") {
		if utf8.RuneCountInString(request.BindingMessage) < p.MinBindingMessage {
			return refuse(InvalidBindingMessage, "binding_message has fewer than %d characters", p.MinBindingMessage)
		}
		return checkBindingMessage(request.BindingMessage, cmp.Or(p.MaxBindingMessage, MaxBindingMessage))
	}
	if p.RequireBindingMessage {
		return refuse(InvalidRequest, "binding_message is needed: the profile of this client makes it a required parameter (CIBA Core §13)")
	}
	if p.NeedBindingMessage {
		return refuse(InvalidBindingMessage, "binding_message is needed (FAPI-CIBA §5.2.2)")
	}
	return nil
}

func (p Policy) readNotification(request *Request, values url.Values) error {
	if !p.Ping {
		return nil
	}
	token := values.Get("client_notification_token")
	if len(token) < minNotificationToken || len(token) > maxNotificationToken {
		return refuse(InvalidRequest, "client_notification_token must have %d to %d characters", minNotificationToken, maxNotificationToken)
	}
	// RFC 6750 §2.1: anything else could break out of the Authorization header that it is sent in.
	if body := strings.TrimRight(token, "="); body == "" || strings.Trim(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") != "" {
		return refuse(InvalidRequest, "client_notification_token is no bearer token (RFC 6750 §2.1)")
	}
	request.NotificationToken = token
	return nil
}

func (p Policy) readExpiry(request *Request, values url.Values) error {
	if !values.Has("requested_expiry") {
		return nil
	}
	seconds, err := strconv.ParseUint(values.Get("requested_expiry"), 10, 31)
	if err != nil || seconds == 0 {
		return refuse(InvalidRequest, "requested_expiry must be a positive whole number of seconds")
	}
	if !p.IgnoreExpiry {
		request.Lifetime = min(time.Duration(seconds)*time.Second, p.MaxLifetime)
	}
	return nil
}

// readContext reads request_context (FAPI-CIBA §5.2.5). It is for those who look for fraud: nothing depends on it here.
func readContext(request *Request, values url.Values) error {
	raw := values.Get("request_context")
	if raw == "" {
		return nil
	}
	var members map[string]json.RawMessage
	if len(raw) > maxContext || strictjson.Decode([]byte(raw), &members) != nil || members == nil {
		return refuse(InvalidRequest, "request_context must be a JSON object of at most %d bytes", maxContext)
	}
	request.Context = json.RawMessage(raw)
	return nil
}
