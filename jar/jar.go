// Package jar will hold signed request objects (RFC 9101) and signed authorization responses (JARM). Nothing of it
// is built yet: a request parameter is refused with request_not_supported, and no JARM response mode is advertised.
package jar
