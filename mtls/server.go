package mtls

import "crypto/tls"

// ServerConfig is the TLS configuration of a listener: TLS 1.2 or later (RFC 9325 §3.1.1), and on 1.2 only the four
// suites with ECDHE and AES-GCM that RFC 9325 §4.2 recommends (FAPI 2.0 Security Profile §5.2.2). Go never
// renegotiates as a server.
//
// With requestClientCertificate a certificate is asked for and may be missing; Go checks possession of its key and
// nothing else, the rest is for [Trust.Verify]. Session tickets are off then, so that a connection cannot be resumed
// under a certificate that is not trusted any more.
func ServerConfig(certificates []tls.Certificate, requestClientCertificate bool) *tls.Config {
	config := &tls.Config{
		Certificates: certificates,
		MinVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if requestClientCertificate {
		config.ClientAuth = tls.RequestClientCert
		config.SessionTicketsDisabled = true
	}
	return config
}
