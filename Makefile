# Everything here sets itself up on a fresh machine. It needs Rust and Python 3.10 or later; Node and a browser are
# used where they are.

PYTHON ?= python3
# For make fuzz and make soak; 5 and 600 if it is not given.
SOAK_SECONDS := $(or $(SECONDS),600)
SECONDS ?= 5
# Test processes at a time.
JOBS ?= 2
# What the checks and tests look at: the wheel as users get it, or "develop", which is built in seconds.
BUILD ?= wheel
# The tests that make t runs: a file, or a test in it.
T ?= tests

# One for each Python that is asked for: what was built for one is of no use to another.
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(subst /,_,$(PYTHON:/%=%)))
BIN := $(VENV)/bin
DONE := $(VENV)/done
export PIP_ROOT_USER_ACTION := ignore
export PIP_QUIET := 1
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
SOURCES := $(shell find rust/proto rust/net rust/load rust/py python \
	'(' -path python/hubbub/projects -o -path 'rust/*/tests' -o -path 'rust/*/benches' ')' -prune -o \
	'(' -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name Cargo.toml -o -path 'python/hubbub/client/*.[jt]s' ')' -print)
PYTHON_CODE := python tests examples benches
NODE := tests/clients/node
# The Socket.IO client that the wheel brings along, and where it comes from.
CLIENT := python/hubbub/socketio/client-dist
CLIENT_SOURCE := python/client
# What hubbub new writes: copies of examples, which the wheel brings along.
PROJECTS := python/hubbub/projects
CHAT := $(wildcard $(addprefix examples/chat/,*.py *.md *.txt .gitignore public/*))

.DEFAULT_GOAL := help
.PHONY: help run develop t tables check check-rust check-python test stages test-rust test-python test-alone test-matrix wheel
.PHONY: fuzz soak bench instructions conformance conformance-full browser clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(DONE)/wheel $(DONE)/chat ## Start the chat of examples/chat on port 8000 (HOST=..., PORT=..., DATABASE=...)
	@$(BIN)/python examples/chat/app.py

develop: $(DONE)/develop ## Build the extension quickly into .venv and python/hubbub, to try a change

t: $(DONE)/develop ## Run the tests T=tests/test_rooms.py::test_name against what make develop built
	$(BIN)/python -m pytest -ra $(T)

tables: $(DONE)/develop ## Write the guide's table of limits, from python/hubbub/limits.py
	$(BIN)/python tests/support/tables.py

check: ## Formatting, lints, types and stubs
	@$(MAKE) check-rust check-python BUILD=develop

# The extension needs a Python to compile against.
check-rust: $(DONE)/dev
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

# stubtest compares the stubs with the extension that is installed, so it runs away from the source tree.
check-python: $(DONE)/$(BUILD)
	$(BIN)/ruff check $(PYTHON_CODE)
	$(BIN)/ruff format --check $(PYTHON_CODE)
	$(BIN)/mypy --strict
	$(BIN)/mypy --strict --python-executable $(BIN)/python examples/*.py
	$(BIN)/mypy --strict --python-executable $(BIN)/python examples/chat/*.py
	for app in rooms clocks socketio; do $(BIN)/mypy --strict --python-executable $(BIN)/python examples/$$app/app.py || exit; done
	cd $(VENV) && bin/python -m mypy.stubtest hubbub._core

# Two stages at a time; then, on a machine that does nothing else, the tests that bound how long things may take.
test: ## The checks and all tests: cargo's, Autobahn's, pytest's
	@rm -f .cache/unstable
	@$(MAKE) --keep-going --jobs 2 --output-sync=target stages; stages=$$?; \
		$(MAKE) test-alone; alone=$$?; \
		if [ -f .cache/unstable ]; then echo "Unstable tests that were run again:"; cat .cache/unstable; fi; \
		exit $$((stages + alone))

stages: $(DONE)/$(BUILD) check-rust test-rust check-python test-python instructions conformance

test-rust: $(DONE)/venv
	cargo test --quiet

test-python: $(DONE)/$(BUILD) $(DONE)/node browser
	$(BIN)/python -m pytest -ra -n $(JOBS) --dist loadfile -m "not alone" tests

test-alone: $(DONE)/$(BUILD)
	$(BIN)/python -m pytest -ra -m alone tests

test-matrix: $(DONE)/$(BUILD) $(DONE)/node browser ## The tests on every event loop and in every thread mode (far longer)
	$(BIN)/python -m pytest -ra -n $(JOBS) --dist loadfile --matrix -m "not alone" tests

# Autobahn is a program for Python 2.7. Where it cannot be had, that is said and the rest is tested.
conformance: $(DONE)/$(BUILD) ## Autobahn's cases that are quick, against the committed result (a minute)
	@if tests/conformance/autobahn.sh install; then \
		$(BIN)/python tests/conformance/run.py --quick; \
	else \
		echo "the conformance cases are skipped: the Autobahn testsuite cannot be had here"; fi

conformance-full: $(DONE)/wheel ## All 517 cases of Autobahn, in each mode (far longer)
	$(BIN)/python tests/conformance/run.py

fuzz: ## Each fuzz target for SECONDS=5 seconds
	rust/fuzz/run.sh $(SECONDS)

soak: $(DONE)/wheel ## Everything at once against real servers for SECONDS=600 seconds, and nothing may be left of it
	$(BIN)/python tests/soak/soak.py --seconds $(SOAK_SECONDS)
	$(BIN)/python tests/soak/delivery.py --seconds $(SOAK_SECONDS)

bench: $(DONE)/wheel $(DONE)/bench ## hubbub beside other servers, as ratios (ARGUMENTS=... for benches/compare.py)
	cargo build --quiet --release -p hubbub-load
	$(BIN)/python benches/compare.py --python $(BIN)/python $(ARGUMENTS)

instructions: $(DONE)/venv ## Count instructions under valgrind, against those written down
	$(BIN)/python benches/instructions.py

wheel: $(DONE)/wheel ## Build the wheel into dist/, for python3 or PYTHON=...
	@rm -rf dist && cp -rp $(VENV)/wheel dist && ls dist/*.whl

clean: ## Remove everything that was built or installed here
	rm -rf .venv .venv-* dist target python/hubbub/_core.*.so rust/fuzz/target rust/fuzz/artifacts $(NODE)/node_modules
	rm -rf $(CLIENT) $(PROJECTS) $(CLIENT_SOURCE)/node_modules python/hubbub/client/*.gz python/hubbub/client/*.br
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

# ---- what the above stand on; a file in .venv/done says that it has been done

$(DONE)/venv:
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@mkdir -p $(DONE) && touch $@

$(DONE)/dev: $(DONE)/venv pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# Without Node, the wheel does without the Socket.IO client, and hubbub.socketio says so to whoever asks for it; and
# hubbub.js is served as it is.
$(DONE)/client: $(DONE)/venv $(addprefix $(CLIENT_SOURCE)/,package.json package-lock.json build.mjs compress.mjs) \
		$(wildcard python/hubbub/client/*.js python/hubbub/client/*.ts)
	@if command -v npm >/dev/null; then \
		node $(CLIENT_SOURCE)/compress.mjs python/hubbub/client && \
		echo "the Socket.IO client"; npm ci --silent --no-audit --no-fund --ignore-scripts --prefix $(CLIENT_SOURCE) && \
		node $(CLIENT_SOURCE)/build.mjs; \
	else rm -rf $(CLIENT); echo "npm is not here: the wheel will not have the Socket.IO client"; fi
	@touch $@

# With the times of the originals, so that nothing is built again for them.
$(DONE)/projects: $(DONE)/venv $(CHAT)
	@rm -rf $(PROJECTS) && mkdir -p $(PROJECTS)
	@cd examples && cp -p --parents $(CHAT:examples/%=%) ../$(PROJECTS)
	@touch $@

$(DONE)/wheel: $(DONE)/dev $(DONE)/client $(DONE)/projects pyproject.toml Cargo.toml Cargo.lock $(SOURCES)
	@rm -rf $(VENV)/wheel .venv*/done/develop python/hubbub/_core.*.so
	$(BIN)/maturin build --quiet --release --interpreter $(BIN)/python --out $(VENV)/wheel
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(VENV)/wheel/*.whl
	@touch $@

# The package itself is python/hubbub then.
$(DONE)/develop: $(DONE)/dev $(DONE)/client $(DONE)/projects pyproject.toml Cargo.toml Cargo.lock $(SOURCES)
	@rm -f $(DONE)/wheel
	$(BIN)/maturin develop --quiet
	@touch $@

# The rivals are installed by benches/compare.py, each by itself.
$(DONE)/bench: $(DONE)/dev pyproject.toml
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

# The chat needs more than hubbub does.
$(DONE)/chat: $(DONE)/wheel examples/chat/requirements.txt
	$(BIN)/python -m pip install --quiet -r examples/chat/requirements.txt
	@touch $@

# Without Node, the tests that need it say so and are skipped.
$(DONE)/node: $(DONE)/venv $(wildcard $(NODE)/package-lock.json)
	@if [ -f $(NODE)/package-lock.json ] && command -v npm >/dev/null; then \
		echo "npm ci"; npm ci --silent --no-audit --no-fund --prefix $(NODE); fi
	@touch $@

# Without a browser, the same.
browser:
	@tests/browser/install.sh
