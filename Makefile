# The ways to build, test, measure and install mdalp. `make help` lists them.

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
DESTDIR ?=
# Seconds of the recorded transaction are divided by this in `make compare`.
SCALE   ?= 10
# Simulated transfers in `make soak`.
N       ?= 1000000
# Seconds for each target in `make fuzz`.
FUZZ_SECONDS ?= 600
# Options of `make bench`: --quick, --only raw; `make bench BENCH=--help` lists them.
BENCH   ?=
# The target triple of `make static` and `make tiny`; chosen if empty.
TARGET  ?=
# The target triples of `make cross`; those that .ci/run tries if empty.
CROSS   ?=
# Options of cargo-mutants in `make mutants`, e.g. --file src/protocol/lane.rs.
MUTANTS ?=

CARGO      ?= cargo
TARGET_DIR  = $${CARGO_TARGET_DIR:-target}
# What `make install` installs.
BINARY     ?= $(TARGET_DIR)/release/mdalp
MAN1        = $(DESTDIR)$(MANDIR)/man1/mdalp.1.gz
MAN7        = $(DESTDIR)$(MANDIR)/man7/mdalp.7.gz
BASH_WORDS  = $(DESTDIR)$(DATADIR)/bash-completion/completions/mdalp
ZSH_WORDS   = $(DESTDIR)$(DATADIR)/zsh/site-functions/_mdalp
FISH_WORDS  = $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/mdalp.fish

.DEFAULT_GOAL := build
.PHONY: help build static tiny test check fmt clippy man-lint doc demo readme compare soak bench mutants cross fuzz install uninstall dist \
	dist-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: PREFIX=$(PREFIX) BINDIR MANDIR DATADIR DESTDIR (install), TARGET (static, tiny), CROSS (cross), MUTANTS (mutants),"
	@echo "BENCH=$(BENCH) (bench), SCALE=$(SCALE) (compare), N=$(N) (soak), FUZZ_SECONDS=$(FUZZ_SECONDS) (fuzz)"

build: ## the program, optimised: target/release/mdalp (the default)
	$(CARGO) build --release --locked

static: ## a static program, with musl where Rust has its library, else with glibc
	@CARGO="$(CARGO)" sh tests/scripts/static.sh $(TARGET)

tiny: ## the smallest one: needs rust-src, has no text for a panic
	@CARGO="$(CARGO)" sh tests/scripts/static.sh --tiny $(TARGET)

test: ## all tests, on loopback
	$(CARGO) test --locked

# The tests come last, so that their result is what one sees.
check: fmt clippy man-lint doc test ## formatting, lints, manual, documentation, tests

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --all-targets --locked -- -D warnings

doc:
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --locked

# groff succeeds whatever it finds.
man-lint: ## what mandoc and groff say of the manual pages
	mandoc -T lint -W warning man/mdalp.1 man/mdalp.7
	@for page in man/mdalp.1 man/mdalp.7; do echo "groff -mandoc -ww -z -Tutf8 $$page"; \
		said="$$(groff -mandoc -ww -z -Tutf8 $$page 2>&1)" && [ -z "$$said" ] || { echo "$$said"; exit 1; }; done

demo: ## a real transfer in both modes against servers on loopback
	sh tests/scripts/demo.sh

readme: ## the same, written into README.md
	sh tests/scripts/readme.sh

compare: ## mode 1 against each receiver alone: the recorded transaction, SCALE times faster
	SCALE=$(SCALE) sh tests/scripts/compare.sh

soak: ## N simulated transfers
	MDALP_SOAK=$(N) $(CARGO) test --release --locked --test mdalp simulation -- --nocapture

mutants: ## do the tests notice when the code is changed? MUTANTS= are options; takes hours
	CARGO="$(CARGO)" sh tests/scripts/mutants.sh $(MUTANTS)

cross: ## for other processors, run there against loopback servers; CROSS= names the targets
	CARGO="$(CARGO)" sh tests/scripts/cross.sh $(CROSS)

bench: build static ## against a bare socket loop and the bounds of stop-and-wait
	$(CARGO) run --release --locked --example bench -- $(BENCH)

fuzz: ## the parsers, FUZZ_SECONDS for each
	FUZZ_SECONDS=$(FUZZ_SECONDS) sh tests/fuzz/run.sh

install: ## the program, its manual pages and completions; compiles nothing
	@test -x "$(BINARY)" || { echo "install: $(BINARY) is not there: run 'make build' first" >&2; exit 1; }
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man7"
	install -m 755 "$(BINARY)" "$(DESTDIR)$(BINDIR)/mdalp"
	gzip -9nc man/mdalp.1 > "$(MAN1)"
	gzip -9nc man/mdalp.7 > "$(MAN7)"
	chmod 644 "$(MAN1)" "$(MAN7)"
	install -D -m 644 man/completions/mdalp.bash "$(BASH_WORDS)"
	install -D -m 644 man/completions/_mdalp "$(ZSH_WORDS)"
	install -D -m 644 man/completions/mdalp.fish "$(FISH_WORDS)"

uninstall: ## take away exactly that
	rm -f "$(DESTDIR)$(BINDIR)/mdalp" "$(MAN1)" "$(MAN7)" "$(BASH_WORDS)" "$(ZSH_WORDS)" "$(FISH_WORDS)"

dist: ## a tarball of the last commit with all crates, and its checksum, in dist/
	CARGO="$(CARGO)" sh tests/scripts/dist.sh

dist-check: ## unpack that, build and test it without a network
	CARGO="$(CARGO)" sh tests/scripts/dist.sh check

clean: ## what all of this has made
	$(CARGO) clean
	rm -rf dist
