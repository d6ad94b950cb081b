package config

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strconv"

	"countersign/internal/config/value"
)

// The tag lax says how a value can protect less than its default: "more" by being larger, "less" by being
// smaller, "other" by being any other.

// Laxer lists the keys whose values protect less than the defaults do, each with its value and the default.
func (config *Config) Laxer() []string {
	var found []string
	config.eachField(func(key string, field reflect.StructField, value reflect.Value) {
		if standard, ok := laxer(field, value); ok {
			found = append(found, fmt.Sprintf("%s = %s (default %s)", key, tomlValue(value), standard))
		}
	})
	return found
}

// laxer reports whether a value protects less than its default, which it returns in TOML.
func laxer(field reflect.StructField, value reflect.Value) (standard string, ok bool) {
	lax, tagged := field.Tag.Lookup("lax")
	if !tagged || value.IsZero() {
		return "", false
	}
	byDefault := reflect.New(field.Type).Elem()
	if text, ok := field.Tag.Lookup("default"); ok {
		setDefault(byDefault, field.Tag.Get("toml"), text)
	}
	if lax == "more" && value.Int() <= byDefault.Int() || lax == "less" && value.Int() >= byDefault.Int() || value.Equal(byDefault) {
		return "", false
	}
	return tomlValue(byDefault), true
}

// PortsDiffer reports that the issuer is on this machine, at another port than the listener: right only when something
// forwards the one to the other. It returns the two ports.
func (config *Config) PortsDiffer() (issuer, listener string, differ bool) {
	u, err := url.Parse(config.Issuer)
	if err != nil || !value.OnThisMachine(u.Hostname()) {
		return "", "", false
	}
	_, listener, err = net.SplitHostPort(config.Listen.Address)
	if issuer = u.Port(); issuer == "" {
		issuer = strconv.Itoa(443)
	}
	return issuer, listener, err == nil && issuer != listener
}
