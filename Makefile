# What a person does with this checkout; each line beside a target is what `make help` says.
# Needs Python 3.11 and make, nothing else.

PYTHON ?= python3.11
BIN := .venv/bin
WORKERS ?= 2
ARGS ?=
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: up test check fix help lock docs baseline demo-agent demo-code backup restore-drill install install-dev suite generated

up: install ## start everything: PostgreSQL, Redis, web, worker, beat, sealer (HOST and PORT move it)
	@exec $(BIN)/python -m config.embedded.up

test: install-dev ## what CI runs: linters, types, import contracts, house rules, and the whole suite
	@$(MAKE) check suite

suite: install-dev ## the tests alone (make suite ARGS="tests/unit -k quorum", WORKERS=4)
	@exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: install-dev ## linters, types, import contracts, house rules, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	SECRET_KEY=types DATABASE_URL=postgresql:///types $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/ast-grep scan --config tests/architecture/house-rules/sgconfig.yml
	@$(MAKE) generated

# Everything that is generated and kept in the repository, with the command that tells when it is stale.
generated: install-dev
	$(BIN)/python -m config.embedded.with_services \
	  "makemigrations --check --dry-run" "render_docs --check"

fix: install-dev ## let ruff mend and format what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo-agent: install ## run the example agent against the running demo
	@exec $(BIN)/python examples/helpdesk_agent.py $(ARGS)

demo-code: install ## the current codes of the demo's authenticator apps
	@exec $(BIN)/python -m config.embedded.demo_code

backup: install ## dump the database, and the checkpoint it must contain, into var/backups (TO=folder)
	@exec $(BIN)/python -m config.embedded.backup $(if $(TO),"$(TO)")

restore-drill: install ## restore a backup on a server of its own and check all of it (DUMP=file CHECKPOINT=file)
	@exec $(BIN)/python -m config.embedded.restore_drill $(if $(filter-out undefined,$(origin DUMP)),--dump "$(DUMP)") \
	  $(if $(filter-out undefined,$(origin CHECKPOINT)),--checkpoint "$(CHECKPOINT)")

docs: install-dev ## draw the generated references anew (docs/reference)
	SECRET_KEY=docs DATABASE_URL=postgresql:///docs $(BIN)/python manage.py render_docs

baseline: ## keep a release as the code in service, which must run on every later schema (REF=its tag)
	@test -n "$(REF)" || { echo "countersign: Give the release: make baseline REF=its-tag." >&2; exit 1; }
	@git archive --format=tar --output=deploy/baseline.tar "$(REF)" . ':!docs' ':!tests' ':!bench' \
	  ':!requirements*.txt' ':!CHANGELOG.md' ':!deploy/baseline.tar.xz' && xz -9e -c deploy/baseline.tar > deploy/baseline.tar.xz.new \
	  && mv deploy/baseline.tar.xz.new deploy/baseline.tar.xz; made=$$?; rm -f deploy/baseline.tar deploy/baseline.tar.xz.new; exit $$made

lock: install-dev ## compile the hash-locked requirements anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 pyproject.toml --generate-hashes -q -o requirements.txt --custom-compile-command "make lock"
	$(BIN)/uv pip compile --universal --python-version 3.11 pyproject.toml --extra dev --generate-hashes -q -o requirements-dev.txt --custom-compile-command "make lock"

install:
	@$(call bare-python,requirements.txt)

install-dev: ## the development environment: what tests, linters and benchmarks need
	@$(call bare-python,requirements-dev.txt)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# `python3` will do where it is 3.11 under another name; install.py says so in one sentence where it isn't.
define bare-python
python=$$(command -v $(PYTHON) || command -v python3) || { echo "countersign: Python 3.11 is needed and none was found; run make with PYTHON=/path/to/python3.11." >&2; exit 1; }; \
exec "$$python" -I config/embedded/install.py $(1)
endef
