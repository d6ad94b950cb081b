module countersign/bench/rp

go 1.26.0

toolchain go1.27.3

require (
	countersign v0.0.0
	github.com/alexedwards/scs/sqlite3store v0.0.0-20251002162104-209de6e426de
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/mattn/go-sqlite3 v1.14.53
)

require (
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace countersign => ../..
