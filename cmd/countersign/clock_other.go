//go:build !linux

package main

// clockSynchronised tells whether something keeps the clock, and whether that can be known.
func clockSynchronised() (synchronised, known bool) { return false, false }
