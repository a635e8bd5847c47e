# codex-sidecar. `make run` to try it, `make test` to test it, `make help` for the rest.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
NODE ?= node

# A flavour is a build of its own in build/<flavour>/; the default one is in build/ itself.
# san: ASan + UBSan.   clang: the second compiler.
FLAVOUR ?=
O := build$(if $(FLAVOUR),/$(FLAVOUR))

OPT := -O2 -g
ifeq ($(FLAVOUR),san)
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifeq ($(FLAVOUR),clang)
CC := clang
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wvla -Wswitch-enum -Wundef -Wno-unused-parameter \
	$(if $(CI),-Werror)
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
all_SRCS := $(common_SRCS) $(supervisor_SRCS) $(proxy_SRCS) $(healthcheck_SRCS) $(unit_SRCS) \
	$(fake_SRCS) $(wildcard tests/bench/*.c)
all_HDRS := $(wildcard common/*.h supervisor/*.h supervisor/codex/*.h proxy/*.h proxy/*/*.h \
	healthcheck/*.h tests/*/*.h)

programs := $O/codex-supervisor $O/codex-proxy $O/codex-healthcheck
fakes := $O/demo-provider $O/fake-app-server
unit_tests := $(unit_SRCS:tests/unit/%.c=$O/tests/%)

COMMON_LIBS := -luv -ljansson
PROXY_LIBS := -lwebsockets -lsystemd $(COMMON_LIBS)
SUPERVISOR_LIBS := -lsystemd $(COMMON_LIBS)
HEALTHCHECK_LIBS := -lcurl $(COMMON_LIBS)
FAKE_LIBS := -lwebsockets $(COMMON_LIBS)

.PHONY: all
all: $(programs) $(fakes)

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
$O/fake-app-server: $(call objs,$(addprefix tests/fakes/,fake_app_server.c fake_turn.c connection.c script.c fake.c))
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ $(FAKE_LIBS)
$O/tests/%: $O/obj/tests/unit/%.o $O/libsupervisor.a $O/libproxy.a $O/libhealthcheck.a $O/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(SIDECAR_LDFLAGS) -o $@ $^ -lcmocka -lcurl $(PROXY_LIBS)

-include $(patsubst %.c,$O/obj/%.d,$(all_SRCS))

.PHONY: clean
clean:
	rm -rf build
