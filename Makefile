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
REGRESS_OPTS = --inputdir=.
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = build agentcrm--*.sql $(OBJS:.o=.d) $(OBJS:.o=.bc)

# Plain C: the models' unit tests and benches need no server.  Files in test/unit
# that are not a test are linked into every test.
MODEL_SRC = $(sort $(wildcard src/model/*.c))
UNIT_TESTS = $(patsubst test/unit/%.c,build/unit/%,$(sort $(wildcard test/unit/*_test.c)))
UNIT_SRC = $(MODEL_SRC) $(filter-out %_test.c,$(sort $(wildcard test/unit/*.c)))
UNIT_CFLAGS = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
BENCHES = $(patsubst bench/%.c,build/bench/%,$(sort $(wildcard bench/*.c)))
PLAIN_CFLAGS = -std=gnu99 $(WARNINGS) -MMD -MP -Isrc $(if $(PGXS_FOUND),-isystem $(includedir_server))

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

-include $(OBJS:.o=.d)
