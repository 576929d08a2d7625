# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `make help` lists the targets. Every variable can be set on the command line.
VERSION    ?= 0.1.0
O          ?= build
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR     ?= $(PREFIX)/lib
UNITDIR    ?= $(PREFIX)/lib/systemd/system
DESTDIR    ?=
CC         ?= cc
CXX        ?= c++
CLANG      ?= clang
STRIP      ?= llvm-strip
BPFTOOL    ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
WERROR     ?= -Werror
SANITIZE   ?=
V          ?= 0

ifeq ($(V),0)
Q = @
say = @printf '  %-8s %s\n' $(1) $(2)
else
Q =
say = @:
endif

LIBS       := libbpf libsystemd json-c smartcols
# asked at first use, not now: in `make deps check` the libraries are not there yet
PC_CFLAGS   = $(eval PC_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $(LIBS)))$(PC_CFLAGS)
PC_LIBS     = $(eval PC_LIBS := $$(shell $(PKG_CONFIG) --libs $(LIBS)) -linih)$(PC_LIBS)
HARDEN     := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2 -fstack-clash-protection
CFLAGS     ?= -O2 -g
override CFLAGS += -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wno-missing-field-initializers $(WERROR) \
	-D_GNU_SOURCE -DFL_VERSION='"$(VERSION)"' -Iinclude -Iuser/common -Iuser/fastlod -I$(O)/bpf -MMD -MP $(PC_CFLAGS)
ifeq ($(SANITIZE),)
override CFLAGS += $(HARDEN)
override LDFLAGS += -pie -Wl,-z,relro,-z,now
else
override CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
override LDFLAGS += -fsanitize=$(SANITIZE)
endif
ARCH       := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BPF_CFLAGS ?= -O2 -g
override BPF_CFLAGS += -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Wno-unused-parameter $(WERROR) \
	-Iinclude -Ivmlinux -Ibpf -MMD -MP

# maps first: libbpf 1.1's linker gives a map the offset 0 when its first mention is an extern
BPF_SRC    := bpf/maps.bpf.c $(filter-out bpf/maps.bpf.c,$(wildcard bpf/*.bpf.c))
BPF_OBJ    := $(BPF_SRC:%.bpf.c=$(O)/%.bpf.o)
SKEL       := $(O)/bpf/fastlo.skel.h
obj         = $(patsubst %.c,$(O)/%.o,$(wildcard $(1)/*.c))
COMMON     := $(call obj,user/common)
DAEMON     := $(call obj,user/fastlod)
CTL        := $(call obj,user/fastloctl)
DAEMON_LIB := $(filter-out $(O)/user/fastlod/main.o,$(DAEMON))
CTL_LIB    := $(filter-out $(O)/user/fastloctl/main.o,$(CTL))
UNIT       := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))
TLIB       := $(call obj,tests/lib)
INTEG      := $(patsubst %.c,$(O)/%,$(wildcard tests/integration/test_*.c))
BENCH      := $(O)/tests/bench/bench
COST       := $(O)/tests/bench/cost
BENCH_OBJ  := $(filter-out %.bpf.o $(COST).o,$(call obj,tests/bench))
TORTURE    := $(O)/tests/torture/torture
CONFORM    := $(O)/tests/conformance/conformance
EXAMPLES   := $(patsubst %.c,$(O)/%,$(wildcard docs/examples/*.c)) $(patsubst %.cc,$(O)/%,$(wildcard docs/examples/*.cc))
PRELOAD    := $(O)/libfastlo-preload.so
MAN        := $(O)/man/fastlod.8 $(O)/man/fastloctl.8

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps check check-unit check-integration fuzz torture faults conformance bench bench-plots bench-programs docs-plots vm \
	programs demo clean install deb help tests

all: $(O)/fastlod $(O)/fastloctl $(PRELOAD) $(EXAMPLES) $(MAN) ## build everything but the tests

$(O)/%.bpf.o: %.bpf.c Makefile
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
	$(Q)$(STRIP) -g $@

$(O)/bpf/fastlo.linked.o: $(BPF_OBJ)
	$(call say,BPFLINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKEL): $(O)/bpf/fastlo.linked.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name fastlo_bpf > $@

$(DAEMON): | $(SKEL)
$(O)/user/fastlod/%.o: user/fastlod/%.c Makefile
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c $< -o $@

$(O)/%.o: %.c Makefile
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Itests/lib -Ibpf -c $< -o $@

# fastlod as a later version may be: other code behind the tail call (nothing ever fits), another ABI
NEXT := $(O)/next/code/fastlod $(O)/next/abi/fastlod
$(O)/next/code/fastlod: private NEXT_FLAGS = -DFL_RCVBUF_SHARE=0xffffffffU
$(O)/next/abi/fastlod: private NEXT_FLAGS = -DFL_ABI_VERSION=1000000
$(NEXT): $(O)/fastlod
	$(Q)$(MAKE) --no-print-directory O=$(@D) CFLAGS='-O2 -g $(NEXT_FLAGS)' BPF_CFLAGS='-O2 -g $(NEXT_FLAGS)' $@
	@touch $@

$(O)/fastlod: $(DAEMON) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS)

$(O)/fastloctl: $(CTL) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS)

$(PRELOAD): user/preload/preload.c Makefile
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fPIE,$(CFLAGS)) -fPIC -shared $< -o $@ -ldl

$(O)/man/%: docs/man/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

# the one list of reasons makes their section, too
$(O)/man/fastloctl.8: docs/man/fastloctl.8.in include/fastlo/reason.def
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)sed -n 's/^FL_REASON([A-Z_0-9]*, "\([^"]*\)", "\(.*\)")$$/.TP\n.B \1\n\u\2./p' include/fastlo/reason.def > $@.reasons
	$(Q)sed -e '/^@REASONS@$$/{r $@.reasons' -e 'd}' $< > $@

$(O)/docs/examples/%: docs/examples/%.c Makefile
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $< -o $@

$(O)/docs/examples/%: docs/examples/%.cc Makefile
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) -std=c++11 -Wall -Wextra $(WERROR) -Iinclude $< -o $@

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(DAEMON_LIB) $(CTL_LIB) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS) -lcmocka

$(O)/tests/integration/%: $(O)/tests/integration/%.o $(TLIB) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS) -lcmocka -lpthread

$(TORTURE): $(call obj,tests/torture) $(TLIB) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS) -lpthread

$(O)/tests/bench/redirect.skel.h: $(O)/tests/bench/redirect.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name redirect_bpf > $@

$(O)/tests/bench/redirect.o: override CFLAGS += -I$(O)
$(O)/tests/bench/redirect.o: | $(O)/tests/bench/redirect.skel.h
$(COST): $(COST).o $(TLIB) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS) -lcmocka -lpthread

$(BENCH): $(BENCH_OBJ) $(TLIB) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS) -lpthread -lm

$(CONFORM): $(call obj,tests/conformance) $(TLIB) $(COMMON)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(PC_LIBS) -lpthread

# by clang, with the sources that they need instrumented, too
FUZZ := $(O)/tests/fuzz/fuzz_config $(O)/tests/fuzz/fuzz_control
FUZZED := $(wildcard user/common/*.c) user/fastlod/config.c user/fastlod/config_keys.c user/fastlod/control_verbs.c
$(O)/tests/fuzz/%: tests/fuzz/%.c $(FUZZED) Makefile
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -g -O1 -std=gnu11 -D_GNU_SOURCE -DFL_VERSION='"$(VERSION)"' -Wall -Wextra $(WERROR) -Iinclude -Iuser/common \
		-Iuser/fastlod -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(PC_CFLAGS) $< $(FUZZED) -o $@ $(PC_LIBS)

fuzz: $(FUZZ) ## any bytes as configuration and as control request, for SECONDS=60 each; KEEP=1 adds to the corpus
	$(Q)O=$(O) FUZZ_SECONDS=$(or $(SECONDS),60) tests/fuzz/run.sh

tests: $(UNIT) $(INTEG) $(TORTURE) $(BENCH) $(COST) $(CONFORM) $(NEXT) $(FUZZ) ## build the tests

deps: ## install what the build and the tests need (Debian, root)
	$(Q)dist/deps.sh

check: all tests ## run every test (root; STRICT=1 makes a skip a failure)
	$(Q)O=$(O) tests/run.sh unit fuzz integration conformance vm torture

check-unit: all tests ## the tests that need no root
	$(Q)O=$(O) tests/run.sh unit

check-integration: all tests ## the tests on the running kernel (root)
	$(Q)O=$(O) tests/run.sh integration

torture: all $(TORTURE) $(NEXT) ## every torture scenario for SECONDS=60; SCENARIO=name runs one (root)
	$(Q)$(TORTURE) --seconds $(or $(SECONDS),60) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(CONNECTIONS),--connections $(CONNECTIONS))

faults: all $(TORTURE) $(NEXT) ## what each fault does to traffic, as a table: the torture's disturbances for SECONDS=60 each (root)
	$(Q)$(TORTURE) --faults --seconds $(or $(SECONDS),60)

conformance: all $(CONFORM) ## fastlo beside plain TCP, call by call; CASE=name runs one (root)
	$(Q)$(CONFORM) $(CASE)

bench: all $(BENCH) $(COST) ## fastlo beside TCP, a textbook sockmap, AF_UNIX and a pipe; BENCH_ARGS='--only connect' (root)
	$(Q)$(BENCH) $(BENCH_ARGS)
	$(Q)$(COST)

bench-plots: all $(BENCH) ## the same as SVG and PNG, into $(O)/bench (root, gnuplot)
	$(Q)BENCH=$(BENCH) tests/bench/plots.sh $(O)/bench $(BENCH_ARGS)

bench-programs: all ## redis, nginx and others with and without a policy; PROGRAM=name ROUNDS=5 SECONDS=1 ENGAGE=eager (root)
	$(Q)O=$(O) python3 -B tests/programs/bench.py fetch $(PROGRAM)
	$(Q)O=$(O) ROUNDS=$(ROUNDS) SECONDS=$(SECONDS) ENGAGE=$(ENGAGE) \
		unshare --mount --net python3 -B tests/programs/bench.py $(PROGRAM)

docs-plots: bench-programs bench-plots ## both anew, and their SVGs into docs/plots, where the README shows them
	$(Q)mkdir -p docs/plots
	$(Q)cp $(O)/bench/*.svg docs/plots

vm: all tests ## the tests on Debian's kernels in qemu, and the package under systemd (tests/vm/run.sh says what it needs)
	$(Q)O=$(O) tests/vm/run.sh fetch
	$(Q)O=$(O) tests/vm/run.sh

programs: all ## nginx, PostgreSQL, redis and others, each with and without fastlo; PROGRAM=name runs one (root)
	$(Q)O=$(O) python3 -B tests/programs/run.py fetch $(PROGRAM)
	$(Q)O=$(O) unshare --mount --net python3 -B tests/programs/run.py $(PROGRAM)

demo: all ## redis with and without fastlo (root)
	$(Q)O=$(O) dist/demo.sh

PLACES      = -e 's|@SBINDIR@|$(PREFIX)/sbin|' -e 's|@BINDIR@|$(PREFIX)/bin|'
install: all ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(O)/fastlod $(DESTDIR)$(PREFIX)/sbin/fastlod
	install -D -m 755 $(O)/fastloctl $(DESTDIR)$(PREFIX)/bin/fastloctl
	install -D -m 755 $(PRELOAD) $(DESTDIR)$(LIBDIR)/libfastlo-preload.so
	install -d $(DESTDIR)$(PREFIX)/include/fastlo
	install -m 644 include/fastlo/fastlo.h include/fastlo/reason.def $(DESTDIR)$(PREFIX)/include/fastlo
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(MAN) $(DESTDIR)$(PREFIX)/share/man/man8
	test -e $(DESTDIR)$(SYSCONFDIR)/fastlo/fastlo.conf || \
	install -D -m 644 dist/fastlo.conf $(DESTDIR)$(SYSCONFDIR)/fastlo/fastlo.conf
	install -D -m 644 dist/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/fastlo.conf
	install -D -m 644 dist/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/fastlo.conf
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/share/doc/fastlo/examples
	sed $(PLACES) dist/systemd/fastlod.service > $(DESTDIR)$(UNITDIR)/fastlod.service
	sed $(PLACES) dist/systemd/policy-example.conf > $(DESTDIR)$(PREFIX)/share/doc/fastlo/examples/policy-example.conf

deb: ## the Debian package, into $(O)
	$(Q)O=$(O) VERSION=$(VERSION) dist/deb.sh

clean: ## remove what was built
	rm -rf $(O)

help: ## this list
	$(Q)sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 24

-include $(shell find $(O) \( -path $(O)/programs -o -path $(O)/next \) -prune -o -name '*.d' -print 2>/dev/null)
