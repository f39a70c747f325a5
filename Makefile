# Chiron. `make run` starts the demo, `make test` tests everything, `make check` keeps the house in order.
B      ?= build
ifeq ($(origin CC),default)
CC     := gcc
endif
# One line a file; V=1 shows the whole commands.
Q       = $(if $(V),,@printf "  %s\n" "$@"; )
LIBS   := libwebsockets sqlite3 jansson libsodium libcurl libzip libxml-2.0 libutf8proc libseccomp libcrypto
WARN   := -Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS ?= -O2 -g
CPP    := -std=c11 -D_GNU_SOURCE -Isrc -I$(B)/gen $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lev -ldnnl -lstemmer -lgomp -lpthread -lm
SRC    := $(filter-out src/main.c,$(sort $(wildcard src/*.c src/*/*.c)))
OBJ    := $(SRC:src/%.c=$(B)/obj/%.o)
UNIT   := $(sort $(wildcard test/unit/*/*_test.c))
FUZZ   := $(sort $(wildcard test/fuzz/*_fuzz.c))
# Instrumented code confuses gcc about what is initialised; the plain build still asks.
SAN_asan := -Wno-maybe-uninitialized -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1 -g
SAN_tsan := -Wno-maybe-uninitialized -fsanitize=thread -fno-omit-frame-pointer -O1 -g
# Counted while threads run; unoptimised, so that a line counted is a line of the source.
SAN_coverage := -Wno-maybe-uninitialized --coverage -fprofile-update=atomic -O0 -g
ASSETS := $(shell tools/embed.sh list)

all: $(B)/chiron
.DELETE_ON_ERROR:

# Everything from outside (Debian packages, model, exercises), once; silent and without network when nothing is missing.
# Included, because make reads a file again after making it: pkg-config above then answers on a machine that had nothing.
$(B)/.setup: tools/setup.sh tools/packages.txt
	@mkdir -p $(B) && tools/setup.sh $(if $(NO_WEB),noweb) && touch $@
ifeq ($(SETUP_DONE)$(filter clean format setup,$(MAKECMDGOALS)),)
include $(B)/.setup
endif
setup: ; @mkdir -p $(B) && tools/setup.sh $(if $(NO_WEB),noweb) && touch $(B)/.setup

$(B)/chiron: $(B)/obj/main.o $(B)/libchiron.a
	$(Q)$(CC) $(CFLAGS) -o $@ $(B)/obj/main.o $(B)/libchiron.a $(LDFLAGS) $(LDLIBS)
$(B)/libchiron.a: $(OBJ) $(B)/obj/assets.o
	@rm -f $@ && ar rcs $@ $^
$(B)/obj/encoder/kernels%.o: KERNEL_CFLAGS = -O3 -ffp-contract=fast
$(B)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPP) $(WARN) $(CFLAGS) $(KERNEL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/obj/assets.o: $(ASSETS) tools/embed.sh $(B)/.demo $(if $(NO_WEB),,$(if $(wildcard tools/web.sh),$(B)/.web))
	@mkdir -p $(@D) $(B)/gen && tools/embed.sh build $(B) $(if $(NO_WEB),noweb) && $(CC) -Isrc -c -o $@ $(B)/gen/assets.S
-include $(OBJ:.o=.d) $(B)/obj/main.d

$(B)/.demo: $(wildcard demo/*) tools/demo.py
	@tools/demo.py $(B)/demo && touch $@
$(B)/.web: $(shell find web -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
	@tools/web.sh build && touch $@
web: ; @tools/web.sh build && touch $(B)/.web

# Only the addresses on the terminal; LOG_LEVEL=info shows what is asked. Another address: make run ARGS="--listen 127.0.0.1:9000".
run: all ; @LOG_LEVEL=$${LOG_LEVEL:-warn} exec $(B)/chiron serve --demo $(ARGS)

# Tests run against a build of their own with sanitizers, and against the real binary.
test: all ; @tools/test.sh $(B)
test-unit: ; @tools/test.sh $(B) unit
test-live: all ; @tools/test.sh $(B) live
# NO_WEB: the page is tested in the real binary. One build folder each for address and thread sanitizer.
asan tsan:
	@$(MAKE) --no-print-directory B=$(B)/$@ NO_WEB=1 SETUP_DONE=1 CFLAGS="$(SAN_$@)" unit replays
tsan-binary:
	@$(MAKE) --no-print-directory B=$(B)/tsan NO_WEB=1 SETUP_DONE=1 CFLAGS="$(SAN_tsan)" $(B)/tsan/chiron
# Which lines the tests run; not part of `make test`.
coverage:
	@$(MAKE) --no-print-directory B=$(B)/coverage NO_WEB=1 SETUP_DONE=1 CFLAGS="$(SAN_coverage)" unit $(B)/coverage/chiron
	@tools/coverage_lines.sh $(B)/coverage
fuzzers:
	@$(MAKE) --no-print-directory B=$(B)/fuzzer NO_WEB=1 SETUP_DONE=1 CC=clang-14 CFLAGS="$(SAN_fuzz)" FUZZ_MAIN=-fsanitize=fuzzer replays
$(B)/unit/%: test/unit/%.c $(B)/libchiron.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPP) -Itest $(WARN) -Wno-missing-prototypes $(CFLAGS) -MMD -MP -o $@ $< $(B)/libchiron.a $(LDLIBS) -lcmocka
# Measuring programs of bench/, for figures that no verb gives.
$(B)/bench/%: bench/%.c $(B)/libchiron.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPP) $(WARN) $(CFLAGS) -o $@ $< $(B)/libchiron.a $(LDLIBS)
# The corpus's replay has a main() of its own; libFuzzer brings another.
FUZZ_MAIN := test/fuzz/replay.c
$(B)/fuzz/%: test/fuzz/%.c test/fuzz/replay.c $(B)/libchiron.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPP) -Itest $(WARN) -Wno-missing-prototypes $(CFLAGS) -o $@ $< $(FUZZ_MAIN) $(B)/libchiron.a $(LDLIBS)
replays: $(FUZZ:test/fuzz/%.c=$(B)/fuzz/%)
unit: $(UNIT:test/unit/%.c=$(B)/unit/%)
-include $(UNIT:test/unit/%.c=$(B)/unit/%.d)
check: ; @tools/setup.sh $(if $(NO_WEB),noweb) test && tools/check.sh $(B)
race: ; @tools/test.sh $(B) race
fuzz: ; @tools/test.sh $(B) fuzz
bench: all ; @bench/run.sh $(B)
# A build uses every core unless it was told otherwise; what it starts in turn shares them.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
format: ; clang-format-14 -i $$(git ls-files 'src/*.[ch]' 'test/*.[ch]')
clean: ; rm -rf $(B) web/dist web/node_modules
.PHONY: all setup web run test test-unit test-live unit check race fuzz bench coverage asan tsan tsan-binary fuzzers replays format clean
