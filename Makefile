# mailtide: `make demo` shows it working, `make test` proves it. Everything they need lands in .venv and .tools.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
# Some images forbid bytecode; hundreds of processes would then compile what they import, each for itself.
unexport PYTHONDONTWRITEBYTECODE

SETUP := sh localstack/setup.sh
UV := UV_NO_CONFIG=1 .tools/uv/bin/uv
PARTS := .tools/uv/.stamp .tools/python313 .venv/.stamp .tools/sam/.stamp .tools/ministack/.stamp .tools/runtime/.stamp .tools/dynalite/.stamp
# SAM builds with the first python3.13 on the PATH; the one beside it has pip.
SAM := PATH="$(CURDIR)/.tools/sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .tools/sam/bin/sam
# CLOUD=localstack: on Docker and localstack/docker-compose.yml instead; nothing of that runs in the tests.
ON := $(if $(filter localstack,$(CLOUD)),--cloud localstack)
TO := --env $(or $(ENV),dev) $(ON) $(if $(DRY),--dry)
EXPORT := export --quiet --locked --no-dev --no-emit-project --no-annotate --no-header

.PHONY: help setup demo demo-warmup up cloud mail-servers test suite checks style types bytecode e2e-web e2e-mail fuzz fuzz-files fuzz-api chaos bench bench-runs bench-warmup bench-threads bench-lines lint format deploy settings image local-invoke check-template audit site check-layers reference pins clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## .venv with mailtide in it, and the local cloud's tools
	@$(MAKE) -s -j3 $(PARTS)

demo: setup  ## the whole job on a cloud of your own: upload a database, watch it come back scheduled
	@.venv/bin/python -m localstack.demo $(ON) $(if $(PORT),--port $(PORT))

demo-warmup: setup  ## a day of the warm-up in a few minutes, over real SMTP; MAILBOXES=400 MINUTES=6 for more
	@.venv/bin/python -m localstack.warmup_demo $(if $(PORT),--port $(PORT)) $(if $(MAILBOXES),--mailboxes $(MAILBOXES)) $(if $(MINUTES),--minutes $(MINUTES))

up: setup  ## the same cloud with the page, two organisations and a token, kept up until Ctrl-C for a look around
	@.venv/bin/python -m localstack --look $(ON) $(if $(PORT),--port $(PORT))

cloud: setup  ## the same cloud, kept up until Ctrl-C for work by hand; TRUST=… a file with certificates that its functions trust
	@.venv/bin/python -m localstack $(ON) $(if $(PORT),--port $(PORT)) $(if $(TRUST),--trust $(TRUST))

mail-servers: setup .tools/mail/.stamp  ## Postfix and Dovecot with 1,000 mailboxes on this computer until Ctrl-C; MAILBOXES=100; needs Debian 12 and root
	@.venv/bin/python -m localstack.mail_servers $(if $(MAILBOXES),--mailboxes $(MAILBOXES))

deploy: setup  ## build and deploy into the AWS account of the shell; ENV=dev|prod of samconfig.toml, GUIDED=0|1, DRY=1 only shows
	@.venv/bin/python -m deploy.aws.stack deploy $(TO) $(if $(GUIDED),--guided $(GUIDED))

# Its output is for a shell to read: what setup says goes elsewhere.
settings:  ## what the command line needs of a deployed stack, as lines for a shell; ENV
	@$(MAKE) -s setup >&2
	@.venv/bin/python -m deploy.aws.stack settings $(TO)

image: setup  ## build and push the image of the machines, and note its digest for deploy; ENV APP DRY; needs Docker
	@.venv/bin/python -m deploy.aws.image $(TO) $(if $(APP),--app $(APP)) $(if $(IMAGE),--image $(IMAGE))

local-invoke: setup  ## a function in Lambda's own container: EVENT=events/plan_run.upload.json, or all; needs Docker
	@.venv/bin/python -m deploy.aws.invoke $(or $(EVENT),all) $(TO)

# One of the four workers takes the end-to-end tests (tests/conftest.py); they wait much, so four keep two cores busy.
# mypy keeps one core busy for a minute, so the tests begin beside it; ruff, which takes a second, may still stop all of it.
test: setup check-layers  ## every check and every test
	@$(MAKE) -j4 types suite

# Commands that the tests start are no part of this make.
suite: style bytecode .tools/mail/.stamp
	@env -u MAKEFLAGS -u MFLAGS .venv/bin/pytest -q -n 4

# Written once; four workers that begin at once would each write it. What fails here is said by the tests.
bytecode:
	@.venv/bin/pytest -q --collect-only >/dev/null 2>&1 || true

e2e-web: setup .tools/web/.stamp .tools/mermaid/.stamp  ## the page in a real browser against the deployed template, and the site of the documentation; PICTURES=1 renews those of the documentation
	@command -v chromium >/dev/null || { echo 'mailtide: the page is tested in Chromium, which is not installed; on Debian: apt-get install chromium' >&2; exit 1; }
	@MAILTIDE_DOC_PICTURES=$(PICTURES) .tools/web/bin/pytest -q tests/web

newcomer: setup  ## README and tutorial, typed word for word in a clean clone
	@.venv/bin/python -m tests.newcomer

e2e-mail: setup .tools/mail/.stamp  ## a day of 300 mailboxes in ten minutes on Postfix and Dovecot, every mail accounted for; MAILBOXES=60 MINUTES=4 for less
	@.venv/bin/python -m localstack.mail_servers.day $(if $(MAILBOXES),--mailboxes $(MAILBOXES)) $(if $(MINUTES),--minutes $(MINUTES))

fuzz: setup  ## rules and pass against the reference on thousands of databases; MINUTES=5 EXAMPLES=1000 SEED=…
	@.venv/bin/python -m tests.fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(if $(EXAMPLES),--examples $(EXAMPLES)) $(if $(SEED),--seed $(SEED))

fuzz-files: setup  ## damaged and hostile databases against everything that opens one; WHAT=changesets or feedback, MINUTES=5 TRIALS=… SEED=…
	@.venv/bin/python -m tests.fuzz_files $(if $(WHAT),--what $(WHAT)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(TRIALS),--trials $(TRIALS)) $(if $(SEED),--seed $(SEED))

fuzz-api: setup  ## requests that the OpenAPI document allows, and such that it does not; EXAMPLES=50 an operation
	@MAILTIDE_API_EXAMPLES=$(or $(EXAMPLES),50) .venv/bin/pytest -q -rP tests/integration/api/test_schema.py

chaos: setup  ## seeded scenarios of several organisations under faults on the deployed template; SEEDS=1-200, or a list; JOBS=2
	@.venv/bin/python -m tests.chaos --seeds $(or $(SEEDS),1-10) $(if $(JOBS),--jobs $(JOBS))

bench: setup  ## how long the pass takes beside SQLite alone, at a million contacts; CONTACTS=100000 RUNS=5 for less
	@.venv/bin/python -m tests.bench.pass_ $(if $(CONTACTS),--contacts $(CONTACTS)) $(if $(RUNS),--runs $(RUNS)) $(if $(LARGER),--larger)

bench-threads: setup  ## the pass by 1, 2, 4, 8 and 16 threads, in memory and on disk; CONTACTS and RUNS as above
	@.venv/bin/python -m tests.bench.threads $(if $(CONTACTS),--contacts $(CONTACTS)) $(if $(RUNS),--runs $(RUNS))

bench-lines: setup  ## where the time of the pass goes, line by line; CONTACTS as above
	@.venv/bin/python -m tests.bench.lines $(if $(CONTACTS),--contacts $(CONTACTS))

bench-runs: setup  ## whole runs on the local cloud: a million contacts on one machine and on three, 100 organisations at once; CONTACTS ORGS
	@.venv/bin/python -m tests.bench.runs_main $(if $(CONTACTS),--contacts $(CONTACTS)) $(if $(ORGS),--orgs $(ORGS))

bench-warmup: setup  ## the warm-up's bars: mails a second over real SMTP, write units, dispatch; MINUTES=10, SIMULATE=1000 for a day of 100,000 too
	@.venv/bin/python -m tests.bench.warmup_main $(if $(MINUTES),--minutes $(MINUTES)) $(if $(MAILBOXES),--mailboxes $(MAILBOXES)) $(if $(SENDERS),--senders $(SENDERS)) $(if $(SIMULATE),--simulate $(SIMULATE))

site: setup .tools/mermaid/.stamp  ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet && echo 'build/site/index.html'

lint: setup check-layers  ## ruff, mypy, shellcheck, the template
	@$(MAKE) checks

checks: style types

style:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/shellcheck localstack/*.sh localstack/init/*.sh

types:
	@.venv/bin/mypy
	@$(SAM) validate --lint

format: setup  ## let ruff mend what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

check-template: setup .tools/check/.stamp  ## checkov and hadolint; each exception stands in deploy/aws/exceptions.yaml with its reason
	@.venv/bin/python -m deploy.aws.check

audit: setup .tools/audit/.stamp  ## licences, known holes and a list of parts (build/sbom-*.json) of what is shipped; SERVICE=osv
	@.venv/bin/python -m deploy.supply_chain.audit $(if $(SERVICE),--service $(SERVICE))

check-layers: setup
	@$(UV) $(EXPORT) | cmp -s - layers/deps/requirements.txt || { echo 'mailtide: layers/deps/requirements.txt does not fit uv.lock; run: make pins' >&2; exit 1; }

reference: setup  ## write the pages of the documentation that come from the code
	@.venv/bin/python -m mailtide.cli.reference docs
	@.venv/bin/python -m deploy.aws.rights docs

pins: setup  ## write the pinned requirements anew from uv.lock and localstack/tools/*.in
	@$(UV) $(EXPORT) --output-file layers/deps/requirements.txt
	@cd localstack/tools && for tool in uv ministack sam check audit; do \
		UV_CUSTOM_COMPILE_COMMAND='make pins' $(CURDIR)/.tools/uv/bin/uv --no-config pip compile --quiet --universal --generate-hashes \
			--python-version $$([ $$tool = uv ] && echo 3.11 || echo 3.13) $$tool.in --output-file $$tool.txt; done

clean:  ## remove everything that the other targets made
	@rm -rf .venv .tools .aws-sam .local .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/uv/.stamp: localstack/tools/uv.txt localstack/setup.sh
	@echo 'setup: uv'
	@$(SETUP) uv && touch $@

.tools/python313: .tools/uv/.stamp
	@$(SETUP) python && echo "setup: Python 3.13 is $$(cat $@)"

.venv/.stamp: uv.lock pyproject.toml .tools/python313
	@echo 'setup: .venv, from uv.lock'
	@$(SETUP) venv && touch $@

# Beside .venv, which holds all that the other targets need: browser drivers are large.
.tools/web/.stamp: uv.lock pyproject.toml .tools/python313 .venv/.stamp
	@echo 'setup: web'
	@$(SETUP) web && touch $@

.tools/sam/.stamp .tools/ministack/.stamp .tools/check/.stamp .tools/audit/.stamp: .tools/%/.stamp: localstack/tools/%.txt .tools/python313
	@echo 'setup: $*'
	@$(SETUP) $* && touch $@

.tools/runtime/.stamp: .tools/python313
	@$(SETUP) runtime && touch $@

.tools/mail/.stamp: localstack/setup.sh localstack/mail_servers/relocate.py .tools/python313
	@echo 'setup: Postfix and Dovecot'
	@$(SETUP) mail && touch $@

.tools/dynalite/.stamp: localstack/tools/dynalite/package-lock.json localstack/setup.sh
	@$(SETUP) dynalite && touch $@

.tools/mermaid/.stamp: localstack/tools/mermaid.sha512
	@$(SETUP) mermaid && touch $@
