# make help lists what there is. The first call of each target does all its set-up.
PYTHON3 ?= python3
PORT ?= 8000
HOST ?= 127.0.0.1
ARGS ?=
JOBS ?= 3

export PORT HOST
# Without its bytecode each start of Salient compiles a thousand modules, which takes two seconds.
unexport PYTHONDONTWRITEBYTECODE
# Only what is set: an empty value would win over .env.
ifneq ($(LOCAL_MODEL),)
export LOCAL_MODEL
endif
ifneq ($(LOCAL_MODEL_PATH),)
export LOCAL_MODEL_PATH
endif
BOOTSTRAP = @$(PYTHON3) bin/bootstrap.py
CODE = salient accounts agents sessions_app benchmarks tests manage.py

.DEFAULT_GOAL := help
.PHONY: help python3 run serve test check bench release map lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

python3:
	@command -v $(PYTHON3) >/dev/null || { echo "make: python3 is missing: install it first" >&2; exit 1; }
	@$(PYTHON3) -c 'import sys; sys.exit("make: python3 is %d.%d, at least 3.9 is needed to set Salient up" % sys.version_info[:2] if sys.version_info < (3, 9) else 0)'

run: python3 ## set up, migrate, load the demo and serve it (PORT= HOST= LOCAL_MODEL= LOCAL_MODEL_PATH=)
	$(BOOTSTRAP) port
	$(BOOTSTRAP) install run
	$(BOOTSTRAP) local-model
	$(BOOTSTRAP) environment
	@.venv/bin/python manage.py migrate --verbosity 0
	@.venv/bin/python manage.py demo --host "$(HOST)" --port "$(PORT)"
	@exec .venv/bin/python -m salient --reload --log-level warning salient.asgi:application

serve: python3 ## serve as production does: settings from the environment, nothing is migrated or loaded
	$(BOOTSTRAP) port
	$(BOOTSTRAP) install run
	@.venv/bin/python manage.py collectstatic --noinput --verbosity 0
	@exec .venv/bin/python -m salient salient.asgi:application

test: python3 ## run the tests (JOBS= side by side, ARGS= goes to pytest)
	$(BOOTSTRAP) install dev
	$(BOOTSTRAP) local-model
	.venv/bin/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder $(ARGS)

check: python3 ## lint, format, types, migrations, deployment settings, architecture, maps of the code
	$(BOOTSTRAP) install dev
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	$(PRODUCTION) .venv/bin/python -m mypy $(CODE)
	$(PRODUCTION) .venv/bin/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) .venv/bin/python manage.py check --deploy --fail-level WARNING
	.venv/bin/python bin/module_map.py --check
	$(PRODUCTION) .venv/bin/python bin/api_tables.py --check
	.venv/bin/python -m pytest tests/project/test_architecture.py

# What `check --deploy` checks: settings as production has them, none of them a secret.
RANDOM = $$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(64))')
PRODUCTION = DEBUG=false DEMO=false ALLOWED_HOSTS=salient.example HTTPS=true EMAIL_URL=smtp+tls://mail.example:587 \
	SECRET_KEY=$(RANDOM) API_KEY_PEPPER=$(RANDOM) SECRET_ENCRYPTION_KEYS=$(RANDOM)

# What is not given is left to the benchmark's own defaults.
bench: python3 ## measure against a bare ceiling and LiteLLM, write benchmarks/RESULTS.md (ROUNDS= SECONDS= ROWS= ARGS=)
	$(BOOTSTRAP) install run
	@.venv/bin/python -m benchmarks.run $(ROUNDS:%=--rounds %) $(SECONDS:%=--seconds %) $(ROWS:%=--rows %) $(ARGS)

release: python3 ## keep the schema, rows and turn of this version in tests/upgrades/releases
	$(BOOTSTRAP) install dev
	@.venv/bin/python -m tests.support.database.write_release

map: python3 ## write the map of modules and the tables of docs/api.md anew from the code
	@$(PYTHON3) bin/module_map.py
	$(BOOTSTRAP) install run
	@SECRET_KEY=none DEBUG=true .venv/bin/python bin/api_tables.py

lock: python3 ## write requirements/*.txt anew from pyproject.toml
	$(BOOTSTRAP) lock

clean: ## remove the virtual environment, caches and stamps; data and .env stay
	rm -rf .venv var/uv var/apt var/cache .mypy_cache .ruff_cache .pytest_cache staticfiles
