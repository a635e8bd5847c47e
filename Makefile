# codex-sidecar. `make run` to try it, `make test` to test it, `make help` for the rest.

VERSION := 0.1.0
MAN_DATE := 2026-11-25
PREFIX ?= /usr/local
DESTDIR ?=
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DOCDIR ?= $(PREFIX)/share/doc/codex-sidecar
CC ?= cc
NODE ?= node
INSTALL ?= install
JOBS ?= $(shell nproc)

# A flavour is a build of its own in build/<flavour>/; the default one is in build/ itself.
# san: ASan + UBSan.   clang: the second compiler.   fuzz: what `make fuzz` runs.   cov: counts what runs.
FLAVOUR ?=
O := build$(if $(FLAVOUR),/$(FLAVOUR))

OPT := -O2 -g
ifeq ($(FLAVOUR),san)
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifeq ($(FLAVOUR),fuzz)
CC := clang
OPT := -O1 -gline-tables-only -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
endif
ifeq ($(FLAVOUR),cov)
OPT := -O0 -g --coverage
endif
# Off: two guesses about strings that are wrong here, and what gcc says of va_list functions: nothing.
CLANG_WARN := -Wno-string-concatenation -Wno-string-plus-int
ifeq ($(FLAVOUR),clang)
CC := clang
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wvla -Wswitch-enum -Wundef -Wno-unused-parameter \
	$(if $(filter clang,$(CC)),$(CLANG_WARN)) $(if $(CI),-Werror)
STD := -std=c11 -D_GNU_SOURCE -DSIDECAR_VERSION='"$(VERSION)"' -I.
HARDEN := -fstack-protector-strong -fPIE $(if $(FLAVOUR),,-D_FORTIFY_SOURCE=2)
SIDECAR_CFLAGS := $(OPT) $(STD) $(WARN) $(HARDEN) $(CFLAGS)
SIDECAR_LDFLAGS := $(OPT) -pie -Wl,-z,relro,-z,now $(LDFLAGS)

common_SRCS := $(sort $(wildcard common/*.c))
supervisor_SRCS := $(sort $(wildcard supervisor/*.c supervisor/codex/*.c))
proxy_SRCS := $(sort $(wildcard proxy/*.c proxy/http/*.c proxy/api/*.c proxy/codex/*.c))
healthcheck_SRCS := $(sort $(wildcard healthcheck/*.c))
unit_SRCS := $(sort $(wildcard tests/unit/test_*.c))
fake_SRCS := $(sort $(wildcard tests/fakes/*.c))
fuzz_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
all_SRCS := $(common_SRCS) $(supervisor_SRCS) $(proxy_SRCS) $(healthcheck_SRCS) $(unit_SRCS) \
	$(fake_SRCS) $(fuzz_SRCS) tests/fuzz/replay.c $(wildcard tests/bench/*.c tests/chaos/*.c)
all_HDRS := $(wildcard common/*.h supervisor/*.h supervisor/codex/*.h proxy/*.h proxy/*/*.h \
	healthcheck/*.h tests/*/*.h)

programs := $O/codex-supervisor $O/codex-proxy $O/codex-healthcheck
fakes := $O/demo-provider $O/fake-app-server
unit_tests := $(unit_SRCS:tests/unit/%.c=$O/tests/%)

COMMON_LIBS := -luv -ljansson
PROXY_LIBS := -lwebsockets -lwslay -lhttp_parser $(COMMON_LIBS)
SUPERVISOR_LIBS := -lsystemd -lresolv $(COMMON_LIBS)
HEALTHCHECK_LIBS := -lresolv -lm $(COMMON_LIBS)
FAKE_LIBS := -lwebsockets $(COMMON_LIBS)

.PHONY: all
all: $(programs) $(fakes)

.PHONY: help
help:
	@echo 'make run            serve http://127.0.0.1:3460/v1 from this folder (DEMO=1: with the demo model)'
	@echo 'make test           install what the tests need, build, run all of them'
	@echo 'make all            build the programs in build/'
	@echo 'make check          the unit tests only'
	@echo 'make check-san      all tests with ASan and UBSan'
	@echo 'make check-valgrind   the unit tests and some integration tests in memcheck'
	@echo 'make coverage       what all tests run, by folder and in build/cov/html (COVERAGE_OF=unit: the unit tests)'
	@echo 'make lint           clang-tidy, cppcheck, shellcheck, and the rules of this house'
	@echo 'make format         clang-format, in place (format-check: only says what differs)'
	@echo 'make fuzz           what reads outside bytes, with libFuzzer (TARGET=, FUZZ_SECONDS=, FUZZ_RUNS=)'
	@echo 'make chaos          faults by a random schedule, under load, and a judge (CHAOS_SEED, CHAOS_SEEDS, CHAOS_SECONDS)'
	@echo 'make soak           an hour of moderate load: memory and files must be flat (SOAK_SECONDS)'
	@echo 'make bench          speed and memory, beside bare clients and HAProxy (BENCH=PART: one part)'
	@echo 'make bench-profile  where the CPU time of the proxy goes, with perf (bench-doc: the figures into docs/)'
	@echo 'make bench-supervisor   kill -9 to a new process, planned restarts; beside PM2'
	@echo 'make deb            a Debian package in build/ (dist: the sources as a tar.gz)'
	@echo 'make image          the container image, with podman or docker'
	@echo 'make install        to PREFIX ($(PREFIX)), below DESTDIR'
	@echo 'make deps           install the Debian packages that the build needs (deps-test: the tests too)'
	@echo 'make clean          remove build/'
	@echo 'FLAVOUR=san|clang|fuzz|cov builds in build/<flavour>/. CI=1 makes warnings errors.'

# --- building ---------------------------------------------------------------------------------

# Every object of a part but its main(), so that unit tests can link against it.
objs = $(patsubst %.c,$O/obj/%.o,$(filter-out %/main.c,$(1)))
common_OBJS := $(call objs,$(common_SRCS))
supervisor_OBJS := $(call objs,$(supervisor_SRCS))
proxy_OBJS := $(call objs,$(proxy_SRCS))
healthcheck_OBJS := $(call objs,$(healthcheck_SRCS))

$O/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(SIDECAR_CFLAGS) -MMD -MP -c -o $@ $<

$O/lib%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$O/libcommon.a: $(common_OBJS)
$O/libsupervisor.a: $(supervisor_OBJS)
$O/libproxy.a: $(proxy_OBJS)
$O/libhealthcheck.a: $(healthcheck_OBJS)

$O/codex-supervisor: $O/obj/supervisor/main.o $O/libsupervisor.a $O/libcommon.a
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(SUPERVISOR_LIBS)
$O/codex-proxy: $O/obj/proxy/main.o $O/libproxy.a $O/libcommon.a
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(PROXY_LIBS)
$O/codex-healthcheck: $O/obj/healthcheck/main.o $O/libhealthcheck.a $O/libcommon.a
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(HEALTHCHECK_LIBS)
$O/demo-provider: $(call objs,$(addprefix tests/fakes/,demo_provider.c model_answer.c script.c fake.c))
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(FAKE_LIBS)
$O/fake-app-server: $(call objs,$(addprefix tests/fakes/,fake_app_server.c fake_thread.c fake_turn.c connection.c script.c fake.c))
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(FAKE_LIBS)
$O/tests/%: $O/obj/tests/unit/%.o $O/libsupervisor.a $O/libproxy.a $O/libhealthcheck.a $O/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(SIDECAR_LDFLAGS) $(TEST_LDFLAGS) -o $@ $^ -lcmocka -lresolv -lm $(PROXY_LIBS) -lsystemd
$O/tests/test_json: TEST_LDFLAGS := -Wl,--wrap=malloc
$O/tests/test_loop_memory: TEST_LDFLAGS := -Wl,--wrap=malloc,--wrap=realloc

# Objects of the tests are no throw-aways.
.SECONDARY:

-include $(patsubst %.c,$O/obj/%.d,$(all_SRCS))

# --- what it stands on --------------------------------------------------------------------------

.PHONY: deps deps-test deps-lint
deps:
	@scripts/install-deps build

deps-test:
	@scripts/install-deps build test
	@scripts/install-npm
	@scripts/install-codex >/dev/null

deps-lint:
	@scripts/install-deps build test lint

# --- trying and testing -------------------------------------------------------------------------
# What comes after an installation is a make of its own, so that -j cannot start it too early.

.PHONY: run
run:
	@scripts/install-deps build run
	@$(MAKE) -s --no-print-directory -j$(JOBS) all
	@scripts/run $O

.PHONY: build-tests
build-tests: all $(unit_tests) $O/chaos-hook.so

.PHONY: test
test: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) build-tests
	@SIDECAR_CODEX_BIN=$$(scripts/install-codex) NODE=$(NODE) scripts/run-tests $O

.PHONY: check
check: $(unit_tests) $(fakes)
	@scripts/run-tests $O unit

.PHONY: check-san
check-san:
	@$(MAKE) --no-print-directory FLAVOUR=san test

.PHONY: check-valgrind
check-valgrind: deps-test
	@scripts/install-deps valgrind
	@$(MAKE) --no-print-directory -j$(JOBS) build-tests
	@SIDECAR_CODEX_BIN=$$(scripts/install-codex) NODE=$(NODE) scripts/run-valgrind $O

# The floors, per cent of lines and of branches, are a little below what is there. Programs that a test
# kills, and those in containers, tell nothing.
COVERAGE_OF ?= unit integration
COVERAGE_FLOOR := $(if $(filter integration,$(COVERAGE_OF)),90 78,68 61)
.PHONY: coverage
coverage: deps-test
	@scripts/install-deps coverage
	@$(MAKE) --no-print-directory -j$(JOBS) FLAVOUR=cov build-tests
	@find build/cov -name '*.gcda' -delete
	@SIDECAR_CODEX_BIN=$$(scripts/install-codex) NODE=$(NODE) scripts/run-tests build/cov $(COVERAGE_OF)
	@CC=$(CC) scripts/coverage build/cov $(COVERAGE_FLOOR) $(if $(CI),,html)

# --- fuzzing: a target is also built with replay.c, and that is run on its corpus by `make check` ---

replays := $(fuzz_SRCS:tests/fuzz/%.c=$O/tests/%)
fuzzers := $(fuzz_SRCS:tests/fuzz/%.c=$O/targets/%)
TEST_LIBRARIES := $O/libsupervisor.a $O/libproxy.a $O/libhealthcheck.a $O/libcommon.a

build-tests check: $(replays)

$(replays): $O/tests/%: $O/obj/tests/fuzz/%.o $O/obj/tests/fuzz/replay.o $(TEST_LIBRARIES)
	@mkdir -p $(@D)
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ -lcmocka -lresolv -lm $(PROXY_LIBS) -lsystemd
$(fuzzers): $O/targets/%: $O/obj/tests/fuzz/%.o $(TEST_LIBRARIES)
	@mkdir -p $(@D)
	$(CC) $(SIDECAR_LDFLAGS) -fsanitize=fuzzer -o $@ $^ -lcmocka -lresolv -lm $(PROXY_LIBS) -lsystemd

.PHONY: fuzzers fuzz
fuzzers: $(fuzzers)

# TARGET=chat_request: that one. FUZZ_SECONDS or FUZZ_RUNS: for each.
fuzz:
	@scripts/install-deps build test clang
	@$(MAKE) -s --no-print-directory -j$(JOBS) FLAVOUR=fuzz fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_RUNS=$(FUZZ_RUNS) FUZZ_JOBS=$(JOBS) \
		scripts/fuzz build/fuzz $(TARGET)

# --- measuring ----------------------------------------------------------------------------------

benches := $O/load-client $O/latency-client $O/start-client $O/sse-source

build-tests: $(benches)

# BENCH: which parts, as tests/bench/bench.mjs calls them. bench-doc takes the figures into docs/.
.PHONY: bench bench-doc
bench bench-doc:
	@scripts/install-deps build bench
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(benches)
	@SIDECAR_BUILD=$(CURDIR)/$O SIDECAR_CODEX_BIN=$$(scripts/install-codex --if-there) CC='$(CC)' \
		$(NODE) tests/bench/bench.mjs $(if $(filter bench-doc,$@),--doc) $(BENCH)

# PROFILE: requests, burst, mixed or paced.
.PHONY: bench-profile
bench-profile:
	@scripts/install-deps build bench profile
	@$(MAKE) -s --no-print-directory -j$(JOBS) all $(benches)
	@SIDECAR_BUILD=$(CURDIR)/$O $(NODE) tests/bench/profile.mjs $(PROFILE)

bench_OBJS := $(call objs,$(addprefix tests/bench/,figures.c))
$O/load-client: $(call objs,tests/bench/load_client.c) $(bench_OBJS)
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ -lcurl $(COMMON_LIBS)
$O/latency-client: $(call objs,tests/bench/latency_client.c) $(bench_OBJS)
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ -lwslay -ljansson
$O/start-client: $(call objs,tests/bench/start_client.c) $(bench_OBJS)
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ -ljansson
$O/sse-source: $(call objs,$(addprefix tests/bench/,sse_source.c) $(addprefix tests/fakes/,script.c fake.c))
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(FAKE_LIBS)

.PHONY: bench-supervisor
bench-supervisor: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) all $O/stamp
	@SIDECAR_BUILD=$(CURDIR)/$O SIDECAR_CODEX_BIN=$$(scripts/install-codex) $(NODE) tests/bench/supervisor.mjs

# Loaded into the programs: allocations that fail, a clock that jumps.
hook_SRCS := $(sort $(wildcard tests/chaos/*.c))
$O/chaos-hook.so: $(hook_SRCS) tests/chaos/hook.h
	@mkdir -p $(@D)
	$(CC) -O2 -g $(STD) $(WARN) -fPIC -shared -o $@ $(hook_SRCS) -ldl

.PHONY: chaos soak
chaos soak: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) all $O/chaos-hook.so
	@SIDECAR_BUILD=$(CURDIR)/$O SIDECAR_CODEX_BIN=$$(scripts/install-codex) $(NODE) tests/chaos/$@.mjs

$O/stamp: tests/bench/stamp.c
	@mkdir -p $(@D)
	$(CC) $(SIDECAR_CFLAGS) -fno-PIE -no-pie -static -o $@ $<

# --- the house rules ----------------------------------------------------------------------------

.PHONY: lint lint-tidy lint-cppcheck lint-scripts lint-rules
lint: lint-rules lint-scripts lint-cppcheck lint-tidy

lint-rules: $O/codex-supervisor $O/codex-ecosystem.5
	scripts/check-includes
	scripts/check-options $O
	scripts/check-tests
	mandoc -T lint -W warning docs/man/*.1 $O/codex-ecosystem.5

lint-scripts:
	shellcheck scripts/* units/debian/codex-sidecar.* units/completions/*.bash .ci/run

# It does not know __attribute__((cleanup)), so leaks are left to the sanitizers.
lint-cppcheck:
	cppcheck --quiet --std=c11 -j$(JOBS) --enable=warning,performance,portability \
		--inline-suppr --library=.cppcheck.cfg --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=memleak --suppress=resourceLeak \
		--suppress=literalWithCharPtrCompare \
		-D_GNU_SOURCE -DSIDECAR_VERSION='"$(VERSION)"' -I. $(all_SRCS)

lint-tidy:
	printf '%s\n' $(all_SRCS) | xargs -P$(JOBS) -n4 clang-tidy --quiet

.PHONY: format format-check
format:
	clang-format -i $(all_SRCS) $(all_HDRS)
format-check:
	clang-format --dry-run -Werror $(all_SRCS) $(all_HDRS)

# --- installing ---------------------------------------------------------------------------------

system_units := $(sort $(wildcard units/systemd/*.service units/systemd/*.timer))

# The page of the ecosystem file is made of the text about it.
$O/codex-ecosystem.5: docs/ecosystem.md scripts/ecosystem-man
	@mkdir -p $(@D)
	scripts/ecosystem-man $< $(VERSION) $(MAN_DATE) >$@.new
	mv $@.new $@

.PHONY: install install-man install-completions
install: $(programs) install-man install-completions
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(DOCDIR)/docs $(DESTDIR)$(DOCDIR)/examples
	$(INSTALL) -m 755 $(programs) scripts/codex-auth-check.sh $(DESTDIR)$(PREFIX)/bin
	$(INSTALL) -d $(DESTDIR)$(USERUNITDIR) $(DESTDIR)$(SYSUSERSDIR)
	for unit in $(notdir $(filter-out %-user.service,$(system_units))); do \
		sed 's|/usr/local|$(PREFIX)|g' units/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit; \
	done
	sed 's|/usr/local|$(PREFIX)|g' units/systemd/codex-sidecar-user.service \
		>$(DESTDIR)$(USERUNITDIR)/codex-sidecar.service
	chmod 644 $(DESTDIR)$(USERUNITDIR)/codex-sidecar.service
	$(INSTALL) -m 644 units/systemd/codex-sidecar.sysusers \
		$(DESTDIR)$(SYSUSERSDIR)/codex-sidecar.conf
	$(INSTALL) -m 644 README.md CONTRIBUTING.md NEWS LICENSE $(DESTDIR)$(DOCDIR)
	$(INSTALL) -m 644 $(wildcard docs/*.md docs/*.svg) $(DESTDIR)$(DOCDIR)/docs
	$(INSTALL) -m 644 units/systemd/codex-sidecar.env units/systemd/notify-reload.conf units/pm2/* units/haproxy/* \
		units/monitoring/* $(DESTDIR)$(DOCDIR)/examples

install-man: $O/codex-ecosystem.5
	$(INSTALL) -d $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5
	$(INSTALL) -m 644 docs/man/*.1 $(DESTDIR)$(MANDIR)/man1
	$(INSTALL) -m 644 $O/codex-ecosystem.5 $(DESTDIR)$(MANDIR)/man5

# Where each shell looks by itself.
COMPLETIONS := $(DESTDIR)$(PREFIX)/share
install-completions:
	$(INSTALL) -d $(COMPLETIONS)/bash-completion/completions \
		$(COMPLETIONS)/zsh/site-functions $(COMPLETIONS)/fish/vendor_completions.d
	for program in codex-supervisor codex-healthcheck; do \
		$(INSTALL) -m 644 units/completions/$$program.bash \
			$(COMPLETIONS)/bash-completion/completions/$$program || exit 1; \
	done
	$(INSTALL) -m 644 units/completions/_* $(COMPLETIONS)/zsh/site-functions
	$(INSTALL) -m 644 units/completions/*.fish $(COMPLETIONS)/fish/vendor_completions.d

# --- packages -----------------------------------------------------------------------------------

.PHONY: dist deb
dist:
	@mkdir -p $O
	git archive --prefix=codex-sidecar-$(VERSION)/ HEAD | gzip -n >$O/codex-sidecar-$(VERSION).tar.gz
	@echo $O/codex-sidecar-$(VERSION).tar.gz

# From the files as they are here; in a folder of its own, since dpkg writes beside its sources.
deb:
	@scripts/install-deps build deb
	scripts/build-deb $(VERSION) $O

# IMAGE_OPTIONS: of `podman build`
.PHONY: image
image: $(programs)
	scripts/build-image $(VERSION) $O $(IMAGE_OPTIONS)

.PHONY: clean
clean:
	rm -rf build
