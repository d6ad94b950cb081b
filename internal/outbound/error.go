package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Error is an address that was refused, or a fetch that failed. Its text is for the operator: it says why, and holds
// nothing that the other side sent. Do not show it to the client that chose the address, who could learn from it what is
// reachable from here, but what [Error.Told] has; the errors of [CheckAddress] alone are made from the address only.
type Error struct {
	// Host is the host of the address, with its port if it names one; empty if the address has none.
	Host string
	// Reason says what is wrong.
	Reason string
	// Answered reports that the host answered, having proved its name where the address is https: the reason is in its
	// answer, which whoever chose the address may be told. It reveals nothing that the host has not sent.
	Answered bool
	// Status is the HTTP status of an answer that was no document because of it; 0 otherwise.
	Status int
	// NoSlot reports that nothing was sent: too many exchanges were running here. The other side is not at fault.
	NoSlot bool

	cause error
}

// Told is the reason if it may be told to whoever chose the address, or empty.
func (e *Error) Told() string {
	if e.Answered {
		return e.Reason
	}
	return ""
}

// Busy reports that the exchange was not tried, because too many others were running here; it may succeed shortly.
func (e *Error) Busy() bool { return e.NoSlot }

// Error returns the host and the reason.
func (e *Error) Error() string {
	if e.Host == "" {
		return "outbound: " + e.Reason
	}
	return fmt.Sprintf("outbound: %s: %s", e.Host, e.Reason)
}

// Unwrap returns the underlying error, or nil. Its text may repeat what the other side sent.
func (e *Error) Unwrap() error { return e.cause }

// refusal is a reason of our own, on its way through net/http.
type refusal string

func (r refusal) Error() string { return string(r) }

func refusalf(format string, values ...any) error { return refusal(fmt.Sprintf(format, values...)) }

// unusable is a reason that lies in the answer of a host.
type unusable struct {
	reason string
	// status is that of the answer, if that is the reason.
	status int
}

func (u unusable) Error() string { return u.reason }

func unusablef(format string, values ...any) error {
	return unusable{reason: fmt.Sprintf(format, values...)}
}

// explain makes an [Error] of any failure of an exchange.
func explain(ctx context.Context, host string, err error) *Error {
	failure := &Error{Host: host, cause: err}
	if reason, ok := errors.AsType[refusal](err); ok {
		failure.Reason = string(reason)
		return failure
	}
	if reason, ok := errors.AsType[unusable](err); ok {
		failure.Reason, failure.Answered, failure.Status = reason.reason, true, reason.status
		return failure
	}
	if ended := ctx.Err(); ended != nil {
		failure.Reason, failure.cause = "it took too long", ended
		if errors.Is(ended, context.Canceled) {
			failure.Reason = "the request was cancelled"
		}
		return failure
	}
	failure.Reason = reasonOf(err)
	return failure
}

// reasonOf names the kind of an error without repeating its text: a certificate's names, for instance, are whatever
// its owner wanted them to be.
func reasonOf(err error) string {
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificateReason(verification.Err)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "the name does not exist"
		}
		return "the name could not be resolved"
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		switch operation.Op {
		case "dial":
			return "no connection was accepted"
		case "remote error": // a TLS alert; its text is Go's own
			if operation.Err != nil && strings.Contains(operation.Err.Error(), "certificate") {
				return "TLS failed: the other side refused the certificate that it was shown, or wants to be shown one"
			}
			return "TLS failed: the other side refused what is offered (TLS 1.3, or 1.2 with ECDHE and AES-GCM)"
		}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "TLS failed: the other side does not speak it"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "it took too long"
	}
	return "the exchange broke off, or was no HTTP"
}

func certificateReason(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is by an authority that is not trusted here"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the certificate has expired, or is not valid yet"
	}
	return "the certificate is not valid"
}
