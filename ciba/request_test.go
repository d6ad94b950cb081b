package ciba

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func policy() Policy { return Policy{Lifetime: 2 * time.Minute, MaxLifetime: 5 * time.Minute} }

func TestRead(t *testing.T) {
	p := policy()
	p.Ping, p.NeedUserCode = true, true
	token := strings.Repeat("a", minNotificationToken)
	got, err := p.Read(url.Values{
		"scope": {"openid payments"}, "id_token_hint": {"x.y.z"}, "acr_values": {"high low"}, "binding_message": {"Pay €5"},
		"user_code": {"1234"}, "client_notification_token": {token}, "requested_expiry": {"9000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		Scope: []string{"openid", "payments"}, HintKind: IDTokenHint, Hint: "x.y.z", ACRValues: []string{"high", "low"},
		BindingMessage: "Pay €5", UserCode: "1234", NotificationToken: token, Lifetime: 5 * time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadRules(t *testing.T) {
	ping, coded, bound, required := policy(), policy(), policy(), policy()
	ping.Ping, coded.NeedUserCode, bound.NeedBindingMessage = true, true, true
	required.NeedBindingMessage, required.RequireBindingMessage = true, true
	cases := []struct {
		name   string
		policy Policy
		more   string
		code   string
	}{
		{"least", policy(), "scope=openid&login_hint=a", ""},
		{"no openid", policy(), "scope=payments&login_hint=a", InvalidScope},
		{"no hint", policy(), "scope=openid", InvalidRequest},
		{"two hints", policy(), "scope=openid&login_hint=a&login_hint_token=b", InvalidRequest},
		{"repeated", policy(), "scope=openid&login_hint=a&login_hint=a", InvalidRequest},
		{"expiry", policy(), "scope=openid&login_hint=a&requested_expiry=1", ""},
		{"expiry zero", policy(), "scope=openid&login_hint=a&requested_expiry=0", InvalidRequest},
		{"expiry negative", policy(), "scope=openid&login_hint=a&requested_expiry=-1", InvalidRequest},
		{"expiry no number", policy(), "scope=openid&login_hint=a&requested_expiry=1.5", InvalidRequest},
		{"ping without token", ping, "scope=openid&login_hint=a", InvalidRequest},
		{"ping with short token", ping, "scope=openid&login_hint=a&client_notification_token=abc", InvalidRequest},
		{"ping with long token", ping, "scope=openid&login_hint=a&client_notification_token=" + strings.Repeat("a", 1025), InvalidRequest},
		{"ping with a line break", ping, "scope=openid&login_hint=a&client_notification_token=" + strings.Repeat("a", 22) + "%0d%0ax", InvalidRequest},
		{"ping with token", ping, "scope=openid&login_hint=a&client_notification_token=" + strings.Repeat("a", 1024), ""},
		{"no user code", coded, "scope=openid&login_hint=a", MissingUserCode},
		{"user code", coded, "scope=openid&login_hint=a&user_code=1", ""},
		{"no message", bound, "scope=openid&login_hint=a", InvalidBindingMessage},
		{"no message, a required parameter", required, "scope=openid&login_hint=a", InvalidRequest},
		{"a message that is none", required, "scope=openid&login_hint=a&binding_message=%20", InvalidBindingMessage},
		{"message", bound, "scope=openid&login_hint=a&binding_message=1234", ""},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			values, err := url.ParseQuery(test.more)
			if err != nil {
				t.Fatal(err)
			}
			_, err = test.policy.Read(values)
			wantCode(t, err, test.code)
		})
	}
}

func TestBindingMessage(t *testing.T) {
	for message, code := range map[string]string{
		"Pay 12,50 € to Ann":                     "",
		"Überweisung 5":                          "",
		"Оплата 500":                             "",
		"支払い 500":                                "",
		strings.Repeat("é", MaxBindingMessage):   "",
		strings.Repeat("é", MaxBindingMessage+1): InvalidBindingMessage,
		"":                    InvalidBindingMessage,
		"   ":                 InvalidBindingMessage,
		"two\nlines":          InvalidBindingMessage,
		"pay \u202E05 €":      InvalidBindingMessage,
		"zero\u200Bwidth":     InvalidBindingMessage,
		"p\u0430ypal":         InvalidBindingMessage,
		"\uFF30ay":            InvalidBindingMessage,
		"\U0001D40Fay":        InvalidBindingMessage,
		"filler\u3164":        InvalidBindingMessage,
		"a\u0301\u0302\u0303": InvalidBindingMessage,
		"\xff":                InvalidBindingMessage,
	} {
		t.Run(message, func(t *testing.T) { wantCode(t, CheckBindingMessage(message), code) })
	}
}

// FuzzRead: what is accepted keeps the bounds, whatever was sent.
func FuzzRead(f *testing.F) {
	f.Add("scope=openid&login_hint=a&binding_message=1234&requested_expiry=60")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		request, err := policy().Read(values)
		if err != nil {
			return
		}
		if request.Hint == "" || request.Lifetime <= 0 || request.Lifetime > 5*time.Minute || utf8.RuneCountInString(request.BindingMessage) > MaxBindingMessage {
			t.Errorf("accepted %+v", request)
		}
	})
}

// FuzzParseObject: no token makes it fall over, and none gives a parameter that is about the object itself.
func FuzzParseObject(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw string) {
		object, err := ParseObject(url.Values{"request": {raw}}, []string{"ES256", "PS256"})
		if err != nil {
			return
		}
		for _, name := range []string{"iss", "aud", "jti", "exp", "nbf", "iat", "request", "request_uri"} {
			if object.object.Parameters.Has(name) {
				t.Errorf("%s became a parameter", name)
			}
		}
	})
}
