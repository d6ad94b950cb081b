package hosts

import (
	"context"
	"net/http"
)

// Probe asks a handler for an address, as a load balancer would, and reports whether it answers 200.
func Probe(ctx context.Context, handler http.Handler, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	request.RequestURI, request.RemoteAddr = request.URL.RequestURI(), "127.0.0.1:0"
	answer := &status{header: http.Header{}}
	handler.ServeHTTP(answer, request)
	return answer.code == http.StatusOK
}

// status keeps the status of an answer and nothing else.
type status struct {
	header http.Header
	code   int
}

// Header implements [http.ResponseWriter].
func (s *status) Header() http.Header { return s.header }

// WriteHeader implements [http.ResponseWriter].
func (s *status) WriteHeader(code int) {
	if s.code == 0 {
		s.code = code
	}
}

// Write implements [http.ResponseWriter].
func (s *status) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return len(p), nil
}
