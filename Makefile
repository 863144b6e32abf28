# RiskPredictor. `make` lists the targets; `make demo` and `make test` do all the set-up themselves.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
R := $(CURDIR)
export PYTHONPATH := $R/operator:$R/predictor:$R/tools/kubectl:$R/tools/cluster:$R/tools/demo:$R/tools:$R/tests

VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest
# In more processes than there are cores, for some tests wait.
SPREAD := -n $(shell python3 -c 'import os; print((os.cpu_count() or 1) * 3 // 2)') --dist worksteal
DEMO_NAME ?= demo
# The oldest Kubernetes that is supported, and the newest that is known to work.
VERSIONS ?= v1.30.14 v1.36.3
# The Pythons that the products are for.
PYTHONS ?= 3.11 3.12 3.13 3.14
# What they are installed on: images need glibc 2.28 or newer, as numpy does.
PLATFORMS := x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin windows
VERSIONED := $(addprefix tests/control_plane/,test_crd.py test_manifests.py test_children.py test_scaling_modes.py test_rights.py test_model_spec.py test_rollout_spec.py)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' operator/riskpredictor_operator/__init__.py)
AUDIT := build/audit
KSERVE := build/kserve
STORES := build/stores
SAVVI := build/savvi
COMMIT_TIME = SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)
LOCAL := python3 tools/cluster/cluster.py
# --no-strip-extras: without them an older pip takes the newest coverage for coverage[toml], and then refuses it.
UV_COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --no-annotate

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Try it

.PHONY: demo
demo: $(VENV)/.ready ## The whole story on a real cluster (CLUSTER=local|kind|current CONTEXT=name)
	$(PY) tools/demo/complete.py --name $(DEMO_NAME)

.PHONY: demo-scaling
demo-scaling: $(VENV)/.ready ## Scale by hand, and give the pods back to the autoscaler
	$(PY) tools/demo/manual_scaling.py --name $(DEMO_NAME)

.PHONY: demo-model-change
demo-model-change: $(VENV)/.ready ## A good model is promoted, a bad one is stopped before it answers
	$(PY) tools/demo/model_change.py --name $(DEMO_NAME)

.PHONY: demo-load
demo-load: $(VENV)/.ready ## Load the demonstration's predictor; a report (ARGS="--users 100 --profile spike")
	$(PY) tools/demo/load_test.py --name $(DEMO_NAME) $(ARGS)

.PHONY: demo-monitor
demo-monitor: $(VENV)/.ready ## Pods, CPU, autoscaler and Events, live (ARGS="--once --json")
	$(PY) tools/demo/monitor.py --name $(DEMO_NAME) $(ARGS)

.PHONY: demo-down
demo-down: ## Remove the demonstration's cluster
	$(LOCAL) down --name $(DEMO_NAME)

.PHONY: model
model: $(VENV)/.ready ## Train the model MODEL_VERSION (v1) into models/
	$(PY) -m riskpredictor_server.train --model-version $(or $(MODEL_VERSION),v1) --out models/$(or $(MODEL_VERSION),v1)

.PHONY: serve
serve: model ## Serve it on http://127.0.0.1:5000
	$(PY) -m riskpredictor_server --model models/$(or $(MODEL_VERSION),v1)

## Test it

.PHONY: test
test: $(VENV)/.ready ## Every layer: gates, unit, contract, control plane, pods, faults, browser
	$(PY) tests/run.py

.PHONY: test-unit
test-unit: $(VENV)/.ready ## Pure logic (seconds)
	$(PYTEST) $(SPREAD) tests/unit

.PHONY: test-contract
test-contract: $(VENV)/.ready $(AUDIT)/.ready $(KSERVE)/.ready $(SAVVI)/.ready ## CRD, roles, samples, HTTP API against the code; fuzz
	$(PYTEST) $(SPREAD) tests/contract

.PHONY: test-control-plane
test-control-plane: $(VENV)/.ready ## Against two real API servers, each for half of the files
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder tests/control_plane

.PHONY: test-store
test-store: $(VENV)/.ready $(STORES)/.ready ## The fetch step against real stores: S3, Azure, Google, registries, MLflow ...
	$(PYTEST) -n 2 --dist loadfile tests/store

.PHONY: test-e2e
test-e2e: $(VENV)/.ready ## Real images and pods on a real node
	$(PYTEST) tests/e2e

.PHONY: chaos
chaos: programs ## Faults, each often enough to mean something (ends with the test under way at 15 minutes)
	CHAOS=long $(PYTEST) --session-timeout=900 tests/chaos tests/e2e/test_local_cluster.py::test_after_down_the_machine_is_as_before

.PHONY: test-versions
test-versions: $(VENV)/.ready ## API and installation on older and newer Kubernetes, built first (30 minutes; VERSIONS="v1.30.14 ...")
	for version in $(VERSIONS); do \
	  python3 tools/cluster/make_kubernetes.py $$version build/kubernetes-$$version; \
	  CLUSTER_SUFFIX=-$${version//./-} RISKPREDICTOR_KUBERNETES_TOOLS=$(CURDIR)/build/kubernetes-$$version $(PYTEST) $(VERSIONED); \
	done

.PHONY: test-python
test-python: $(VENV)/.ready ## Unit and portability tests on each Python of PYTHONS that is installed (PYTHONS="3.13 3.14")
	export PATH="$$(printf '%s:' ~/.pyenv/versions/*/bin)$$PATH"; \
	for version in $(PYTHONS); do \
	  $(VENV)/bin/uv venv --quiet --no-python-downloads --clear --python $$version build/python-$$version || { echo "Python $$version: not installed, not tested"; continue; }; \
	  export VIRTUAL_ENV=build/python-$$version; \
	  $(VENV)/bin/uv pip install --quiet --require-hashes -r requirements-dev.lock; \
	  $(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation -e operator -e predictor -e tools/kubectl; \
	  $$VIRTUAL_ENV/bin/python -m pytest $(SPREAD) tests/unit tests/contract/test_other_systems.py; \
	  echo "Python $$version: passed"; \
	done

.PHONY: test-browser
test-browser: $(VENV)/.ready ## The web page in Chromium
	$(PYTEST) tests/browser

.PHONY: programs
programs: $(VENV)/.ready $(AUDIT)/.ready $(KSERVE)/.ready $(SAVVI)/.ready $(STORES)/.ready ## Build, fetch and install what the tests run (minutes, once)
	$(PY) -m support.programs

.PHONY: check
check: $(VENV)/.ready ## Formatting, lint, types, import rules
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

.PHONY: verify
verify: reference lock ## Regenerate what is generated; fail if that changes a file
	git diff --exit-code

.PHONY: bench-predictor
bench-predictor: $(VENV)/.ready ## The predictor beside its limit and its peers (root, wrk; ARGS=--peers)
	$(PY) -m bench.predictor.bench $(ARGS)

.PHONY: bench-operator
bench-operator: $(VENV)/.ready ## The operator at scale on a real control plane (ARGS="--sizes 1,100")
	$(PY) -m bench.operator.bench $(ARGS)

.PHONY: bench-safe-change
bench-safe-change: $(VENV)/.ready ## How often the gates of a change of model are wrong, and how soon they decide (ARGS="--simulate 2000")
	$(PY) -m bench.safe_change $(ARGS)

.PHONY: soak
soak: $(VENV)/.ready ## The operator under churn: does its memory grow? (ARGS="--minutes 30")
	$(PY) -m bench.operator.soak $(ARGS)

.PHONY: bench-plot
bench-plot: $(VENV)/.ready ## The picture of docs/SCALE.md (ARGS="figures.json soak.json --out FILE.png")
	$(PY) -m bench.operator.plot $(ARGS)

## Maintain it

.PHONY: format
format: $(VENV)/.ready ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

.PHONY: screenshots
screenshots: $(VENV)/.ready ## Take the pictures of the guides again, into docs/images/ (Chromium)
	$(PY) -m browser.screenshots

.PHONY: recordings
recordings: $(VENV)/.ready ## Record the demonstrations again, into docs/images/ (10 minutes; ARGS="load-test")
	$(PY) tools/demo/make_recordings.py --name $(DEMO_NAME) $(ARGS)

.PHONY: diagrams
diagrams: ## Draw the diagrams of the guides again, into docs/images/ (Node.js 20)
	cd docs/diagrams && npm ci --ignore-scripts --no-audit --no-fund && node make.mjs

.PHONY: reference
reference: $(VENV)/.ready ## Regenerate what is made from code: CRD reference, tables of the guides, dashboard, chart, reasons
	$(PY) -m generate

.PHONY: audit
audit: $(AUDIT)/.ready ## Known vulnerabilities in what is locked (ARGS="-s osv" asks osv.dev)
	$(AUDIT)/bin/python -m release.audit $(ARGS)

.PHONY: sbom
sbom: $(AUDIT)/.ready ## Bills of materials (CycloneDX) and licences of the images, into dist/
	$(COMMIT_TIME) $(AUDIT)/bin/python -m release.sbom

.PHONY: dist
dist: sbom $(VENV)/.ready ## install.yaml, packaged chart and SHA256SUMS, into dist/ (OPERATOR_IMAGE=REPOSITORY@sha256:... pins it)
	$(COMMIT_TIME) $(PY) -m release.dist $(if $(OPERATOR_IMAGE),--operator-image "$(OPERATOR_IMAGE)")

.PHONY: lock
lock: $(VENV)/.ready ## Lock the dependencies again, with hashes
	$(UV_COMPILE) operator/requirements.in -o operator/requirements.lock
	$(UV_COMPILE) predictor/requirements.in -o predictor/requirements.lock
	$(UV_COMPILE) predictor/requirements-train.in -o predictor/requirements-train.lock
	$(UV_COMPILE) predictor/requirements-sklearn.in -o predictor/requirements-sklearn.lock
	$(UV_COMPILE) tools/kubectl/requirements.in -o tools/kubectl/requirements.lock
	$(UV_COMPILE) requirements-dev.in -o requirements-dev.lock
	$(UV_COMPILE) requirements-audit.in -o requirements-audit.lock
	$(UV_COMPILE) requirements-kserve.in -o requirements-kserve.lock
	$(UV_COMPILE) requirements-savvi.in -o requirements-savvi.lock
	$(UV_COMPILE) requirements-stores.in -o requirements-stores.lock

.PHONY: wheels
wheels: $(VENV)/.ready ## Is there a wheel of every locked package for each Python and system? (asks the index)
	for lock in operator/requirements.lock predictor/requirements*.lock tools/kubectl/requirements.lock; do \
	  for platform in $(PLATFORMS); do for version in $(PYTHONS); do \
	    echo "$$lock on $$platform, Python $$version"; \
	    $(VENV)/bin/uv pip install --quiet --dry-run --no-deps --only-binary :all: --require-hashes --target build/wheels \
	      --python-platform $$platform --python-version $$version -r $$lock; \
	  done; done; \
	done

.PHONY: images
images: ## Build the operator's image and the predictor's: with the models v1 and v2, and without one
	$(LOCAL) build-image --file Dockerfile.operator --tag riskpredictor-operator:$(VERSION)
	$(LOCAL) build-image --file Dockerfile.predictor --tag health-predictor:v1 --build-arg MODEL_VERSION=v1
	$(LOCAL) build-image --file Dockerfile.predictor --tag health-predictor:v2 --build-arg MODEL_VERSION=v2
	$(LOCAL) build-image --file Dockerfile.predictor --tag health-predictor:runtime --target server

.PHONY: clean
clean: ## Remove what was built in this folder (not the caches outside it)
	rm -rf $(VENV) build dist models .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.ready: requirements-dev.lock operator/pyproject.toml predictor/pyproject.toml tools/kubectl/pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: python3 --version"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { [ "$$(id -u)" = 0 ] && { apt-get update -qq || true; } && apt-get install -y -qq python3-venv; } \
	  || { echo "python3 has no venv module: sudo apt-get install python3-venv"; exit 1; }
	@echo "setting up $(VENV) from requirements-dev.lock ..."
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e operator -e predictor -e tools/kubectl
	@touch $@

# The tools of `make audit` and `make sbom`.
$(AUDIT)/.ready: requirements-audit.lock
	@echo "setting up $(AUDIT) from requirements-audit.lock ..."
	@python3 -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	@touch $@

# KServe's client, for tests/contract/test_predictor_clients.py.
$(KSERVE)/.ready: requirements-kserve.lock $(VENV)/.ready
	@echo "setting up $(KSERVE) from requirements-kserve.lock ..."
	@$(VENV)/bin/uv venv --quiet --clear $(KSERVE)
	@$(VENV)/bin/uv pip install --quiet --python $(KSERVE)/bin/python --require-hashes -r requirements-kserve.lock
	@touch $@

# A published confidence sequence, for tests/contract/test_published_sequence.py.
$(SAVVI)/.ready: requirements-savvi.lock $(VENV)/.ready
	@echo "setting up $(SAVVI) from requirements-savvi.lock ..."
	@$(VENV)/bin/uv venv --quiet --clear $(SAVVI)
	@$(VENV)/bin/uv pip install --quiet --python $(SAVVI)/bin/python --require-hashes -r requirements-savvi.lock
	@touch $@

# MLflow's server and the OpenSSF model signer, for the tests of the fetch step.
$(STORES)/.ready: requirements-stores.lock $(VENV)/.ready
	@echo "setting up $(STORES) from requirements-stores.lock ..."
	@$(VENV)/bin/uv venv --quiet --clear $(STORES)
	@$(VENV)/bin/uv pip install --quiet --python $(STORES)/bin/python --require-hashes -r requirements-stores.lock
	@touch $@
