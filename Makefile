# agentcrm: build, install, test, demo and bench.  "make help" names the targets.

EXTENSION = agentcrm
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" agentcrm.control)
MODULE_big = agentcrm
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
DATA_built = agentcrm--$(EXTVERSION).sql
INSTALL_SQL = $(sort $(wildcard sql/install/[0-9][0-9]_*.sql))

# Server headers as -isystem: the warnings are for our own files.  WERROR= turns
# off -Werror where a newer compiler knows more warnings than we did.
WERROR = -Werror
WARNINGS = -Wall -Wextra $(WERROR) -Wno-unused-parameter
PG_CPPFLAGS = -Isrc -isystem $(includedir_server) -isystem $(includedir_internal)
PG_CFLAGS = $(WARNINGS) -MMD -MP
SHLIB_LINK = -lm

# pg_regress and isolation tests run against a running server ("make
# installcheck"); "make test" makes a throw-away one.
REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = build agentcrm--*.sql $(OBJS:.o=.d) $(OBJS:.o=.bc)

# Plain C: the models' unit tests and benches need no server.  Files in test/unit
# that are not a test are linked into every test and bench.
PLAIN_SRC = $(sort $(wildcard src/model/*.c) $(wildcard src/plan/market*.c) $(filter-out %_test.c,$(wildcard test/unit/*.c)))
PLAIN_CFLAGS = $(WARNINGS) -MMD -MP -g -Isrc $(if $(PGXS_FOUND),-isystem $(includedir_server))
UNIT_CFLAGS = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
UNIT_TESTS = $(patsubst test/%.c,build/%,$(sort $(wildcard test/unit/*_test.c)))
UNIT_OBJS = $(PLAIN_SRC:%.c=build/unit/obj/%.o)
BENCHES = $(patsubst %.c,build/%,$(sort $(wildcard bench/*.c)))
ALL_BENCHES = $(sort $(wildcard bench/*.sh)) $(BENCHES)
# package.sh runs build/bench/repurchase on the package's own customers.
MODEL_BENCHES = $(sort $(wildcard bench/models/*.sh)) $(filter-out build/bench/repurchase,$(BENCHES))
BENCH_OBJS = $(PLAIN_SRC:%.c=build/bench/obj/%.o)

# With another PostgreSQL: make PG_CONFIG=/path/to/pg_config ...
PG_CONFIG = pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
PGXS_FOUND := $(wildcard $(PGXS))

# Jitted queries gain nothing from inlining our C, and bitcode doubles the build.
override with_llvm = no

# Before PGXS is there the Makefile must still parse, for deps, test and demo.
ifneq ($(PGXS_FOUND),)
include $(PGXS)
else
all install installcheck uninstall:
	@echo "make $@: no PGXS at '$(PG_CONFIG) --pgxs'; run 'make deps', or give PG_CONFIG=/path/to/pg_config" >&2; exit 1
clean:
	rm -rf agentcrm.so src/*.o src/*/*.o $(EXTRA_CLEAN)
endif

agentcrm--$(EXTVERSION).sql: $(INSTALL_SQL) agentcrm.control
	cat $(INSTALL_SQL) >$@

build/unit/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) $(UNIT_CFLAGS) -c $< -o $@

build/bench/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN_CFLAGS) -O2 -c $< -o $@

$(UNIT_TESTS): build/unit/%: build/unit/obj/test/unit/%.o $(UNIT_OBJS)
	$(CC) $(UNIT_CFLAGS) $^ -o $@ -lm

$(BENCHES): build/bench/%: build/bench/obj/bench/%.o $(BENCH_OBJS)
	$(CC) $^ -o $@ -lm

build/bench/plan/market: build/bench/obj/bench/plan/market.o $(BENCH_OBJS)
	@mkdir -p $(@D)
	$(CC) $^ -o $@ -lm

unit-programs: $(UNIT_TESTS)
bench-programs: $(BENCHES)

.SECONDARY:
-include $(OBJS:.o=.d) $(shell find build -name '*.d' 2>/dev/null)

# What follows works on a machine without PGXS: after deps, make starts anew.
CLUSTER = PG_CONFIG='$(PG_CONFIG)' test/with_cluster -o shared_preload_libraries=agentcrm
RUN = @MAKE='$(MAKE)' PG_CONFIG='$(PG_CONFIG)' UNIT='$(UNIT_TESTS)' test/run
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
TEST_PARTS = unit regress isolation pgtap tap

help:	## this list
	@sed -n 's/^\([a-z%-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

deps:	## install by apt what is missing (NO_DEPS=1: only say what)
	@PG_CONFIG='$(PG_CONFIG)' NO_DEPS='$(NO_DEPS)' test/deps

ready: deps	## deps, build, install (by sudo where needed)
	@echo "== build"
	@$(MAKE) --no-print-directory -s $(JOBS) all
	@$(MAKE) --no-print-directory -s install-ready

install-ready: all
	@if [ -w '$(pkglibdir)' ]; then $(MAKE) -s install; \
	else sudo $(MAKE) -s install PG_CONFIG='$(PG_CONFIG)'; fi

test: ready	## everything, on throw-away clusters; ends in "N passed, M failed"
	@$(MAKE) --no-print-directory -s $(JOBS) unit-programs
	$(RUN) $(TEST_PARTS)

test-unit:	## models alone, under sanitizers
	@$(MAKE) --no-print-directory -s $(JOBS) unit-programs
	$(RUN) unit

test-regress: ready	## pg_regress: sql/, expected/ (REGRESS=name for one)
	$(RUN) regress

test-isolation: ready	## test/specs (ISOLATION=name)
	$(RUN) isolation

test-pgtap: ready	## test/pgtap (PGTAP=file)
	$(RUN) pgtap

test-tap: ready	## test/t (TAP=file)
	$(RUN) tap

demo: ready	## a shop with agentcrm at work (KEEP=1 leaves it running)
	@$(CLUSTER) -d demo -- bash demo/run.sh

bench: ready	## each of bench/, on clusters with real fsync (BENCH=name for one)
	@$(MAKE) --no-print-directory -s bench-programs
	@PG_CONFIG='$(PG_CONFIG)' bench/run $(if $(BENCH),$(filter bench/$(BENCH).sh build/bench/$(BENCH),$(ALL_BENCHES)),$(ALL_BENCHES))

bench-reliability: ready	## crashes, faults, endurance, at length (BENCH=name for one)
	@PG_CONFIG='$(PG_CONFIG)' bench/run $(if $(BENCH),bench/reliability/$(BENCH).sh,$(sort $(wildcard bench/reliability/*.sh)))

bench-plan: ready	## the allocator beside greedy and an LP solver (SIZES="1k 10k" makes it short)
	@$(MAKE) --no-print-directory -s $(JOBS) build/bench/plan/market
	@PG_CONFIG='$(PG_CONFIG)' bench/run bench/plan/market.sh

bench-referee: ready	## plans in the simulated distributor, beside its rival policies (SEEDS=n)
	@PG_CONFIG='$(PG_CONFIG)' bench/run bench/referee/referee.sh

bench-models: ready	## all that is promised of the models, one table (BENCH=name for one)
	@$(MAKE) --no-print-directory -s $(JOBS) bench-programs unit-programs
	@PG_CONFIG='$(PG_CONFIG)' bench/run $(if $(BENCH),$(filter bench/models/$(BENCH).sh build/bench/$(BENCH),$(MODEL_BENCHES)),$(MODEL_BENCHES))

# pg_bsd_indent comes with the PostgreSQL 17 packages and later; the types it must
# know are read from the debugging information of our own objects.
INDENT = $(firstword $(shell command -v pg_bsd_indent) $(wildcard /usr/lib/postgresql/*/bin/pg_bsd_indent \
	/usr/lib/postgresql/*/lib/pgxs/src/tools/pg_bsd_indent/pg_bsd_indent))
format: all	## pg_bsd_indent over src/, where it is installed
	@mkdir -p build
	@readelf --debug-dump=info $(OBJS) | \
		awk '/DW_TAG_/ { td = /typedef/ } td && /DW_AT_name/ { print $$NF }' | sort -u >build/typedefs.list
	@[ -n "$(INDENT)" ] || { echo "format: no pg_bsd_indent here; nothing done" >&2; exit 1; }
	for file in $$(find src test/unit bench -name '*.[ch]'); do \
		$(INDENT) -bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79 -lp -lpl \
			-nip -npro -sac -tpg -ts4 -Ubuild/typedefs.list <$$file >build/indented && \
			{ cmp -s build/indented $$file || cp build/indented $$file; } || exit 1; \
	done

.PHONY: help deps ready install-ready test $(TEST_PARTS:%=test-%) demo bench bench-reliability bench-plan bench-referee bench-models format unit-programs bench-programs
