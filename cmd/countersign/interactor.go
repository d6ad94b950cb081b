package main

import (
	"log/slog"
	"time"

	"countersign/internal/directory"
	"countersign/internal/pages"
	"countersign/store"
)

// newInteractor makes the built-in pages, over the built-in user directory.
func newInteractor(issuer string, users store.Users, now func() time.Time, log *slog.Logger) (*pages.Pages, error) {
	people, err := directory.New(directory.Config{Users: users, Now: now})
	if err != nil {
		return nil, err
	}
	return pages.New(pages.Config{
		Directory: people, Refused: directory.ErrRefused, Throttled: directory.ErrThrottled, Issuer: issuer, Now: now, Logger: log,
	})
}
