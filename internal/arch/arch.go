// Package arch holds the import table of the project, as a test.
package arch
