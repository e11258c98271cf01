# The two commands of the README are `make repro` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
CHECKPOINT_DIR ?=
CHECKPOINT ?= $(if $(CHECKPOINT_DIR),local,mini)
OVERRIDES ?=

# The checkout may lie anywhere; make itself can't have a target with spaces in its name.
ifneq ($(words $(VENV)),1)
$(error VENV is '$(VENV)'; expected a path without spaces, from here or from the root)
endif
BIN := $(VENV)/bin
export PATH := $(if $(filter /%,$(BIN)),,$(CURDIR)/)$(BIN):$(PATH)

# For a user without a name (a container's number): DVC does not start without these two.
HOME ?= /
USER ?= $(shell id -u)
export HOME USER

# ONNX Runtime is one import package in two builds; nvidia-smi decides which one is installed.
BUILD := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
OTHER := $(if $(filter gpu,$(BUILD)),onnxruntime,onnxruntime-gpu)
STAMP := $(VENV)/.installed-$(BUILD)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# What the locks list is all there is, and nothing else than what they hash; sdists are built by the
# setuptools that they lock.
LOCKED := $(PIP) install --require-hashes --no-deps --no-build-isolation
# Where torch comes from, if not from pip's own index: that has the CUDA build, 2.7 GB with its needs.
TORCH_INDEX ?=

# The shell resolves it, since make splits a name at its spaces.
export CHECKPOINT_DIR
SELECT := $(if $(CHECKPOINT_DIR),"checkpoint.path=$$(realpath -- "$$CHECKPOINT_DIR")")
ALL_OVERRIDES := $(if $(filter-out mini,$(CHECKPOINT)),checkpoint=$(CHECKPOINT)) $(SELECT) $(OVERRIDES)

# The default checkpoint, as committed, runs at the top; all else runs in a folder of its own, and so
# does it where there is no git, as in a source archive: DVC wants one at the top.
ifeq ($(strip $(ALL_OVERRIDES))$(if $(wildcard .git),,archive),)
WORKSPACE := .
else
WORKSPACE := workspaces/$(CHECKPOINT)
endif

# The compiled step is built where a compiler is; without it ONNX Runtime runs the steps.
NATIVE := $(VENV)/.native
NATIVE_SOURCES := $(wildcard native/*.t* native/src/* native/chattts_onnx_native/*.py)

.PHONY: help known made setup site repro bench search ablation calibration-study targets load reports triton test lint audit params ui lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk 'BEGIN {FS = ":.*## "}; {printf "  \033[36m%-17s\033[0m %s\n", $$1, $$2}'
	@echo "  variables: CHECKPOINT=mini|seeded_small|seeded_full|chattts|local CHECKPOINT_DIR=folder"
	@echo "             OVERRIDES='precision.int8.calibrator=percentile …' VENV=.venv PYTHON=python3"

setup: $(STAMP) $(NATIVE) ## Create .venv with the exact pins, the CPU or GPU build of ONNX Runtime, the compiled step

$(STAMP): pyproject.toml $(addprefix requirements/,build.txt lock.txt $(BUILD).txt torch.txt)
	@test -x $(BIN)/python || $(PYTHON) -m venv "$(VENV)"
	$(LOCKED) -r requirements/build.txt
	$(PIP) uninstall --yes $(OTHER) 2>/dev/null
	$(LOCKED) -r requirements/lock.txt -r requirements/$(BUILD).txt
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*
	@touch $@

$(NATIVE): $(NATIVE_SOURCES) | $(STAMP)
	@if command -v "$${CXX:-c++}" >/dev/null; then $(PIP) install --no-deps --no-build-isolation ./native; \
		else echo "no C++ compiler: ONNX Runtime will run the decoding steps"; fi
	@touch $@

# What is asked for is looked at before minutes of set-up.
KNOWN := $(basename $(notdir $(wildcard conf/checkpoint/*.yaml)))
known:
	@case " $(KNOWN) " in *" $(CHECKPOINT) "*) ;; *) \
		echo "CHECKPOINT is $(CHECKPOINT); expected one of $(KNOWN)" >&2; exit 2;; esac
	@test -z "$$CHECKPOINT_DIR" -o -d "$$CHECKPOINT_DIR" || \
		{ echo "CHECKPOINT_DIR is $$CHECKPOINT_DIR; found no such folder" >&2; exit 2; }
ifeq ($(CHECKPOINT)$(findstring checkpoint.path=,$(SELECT)$(OVERRIDES)),local)
	@echo "CHECKPOINT is local; expected its folder, too: CHECKPOINT_DIR=folder" >&2; exit 2
endif

repro: known setup ## Checkpoint to checked bundles, timed and recorded; ends with a table and wav files
ifeq ($(WORKSPACE),.)
	@$(BIN)/python -m pipeline.compose
else
	@$(BIN)/python -m pipeline.workspace $(CHECKPOINT) $(ALL_OVERRIDES)
endif
	@cd $(WORKSPACE) && python -m pipeline.repro
	@cd $(WORKSPACE) && python -m pipeline.summary

# What reads a workspace wants one.
made:
	@test -d $(WORKSPACE) || { echo "found no $(WORKSPACE); make it first:" \
		"make repro CHECKPOINT=$(CHECKPOINT) (one of $(KNOWN))" >&2; exit 2; }

bench: ## Every variant beside the official package, on the full-size seeded checkpoint
	@$(MAKE) repro CHECKPOINT=seeded_full
	@test -x .venv-peer/bin/python || peer/install.sh
	$(BIN)/python -m pipeline.studies.profile --workspace workspaces/seeded_full
	$(BIN)/python -m pipeline.studies.streaming --bundle workspaces/seeded_full/bundles/int8
	$(BIN)/python -m pipeline.studies.peer --workspace workspaces/seeded_full
	@test -x .venv-openvino/bin/python || peer/openvino.sh
	@.venv-llama/bin/python -c 'import llama_cpp' 2>/dev/null || peer/llama.sh || \
		{ rm -rf .venv-llama; echo "llama.cpp is not to be had here: the table goes without it"; }
	$(BIN)/python -m pipeline.studies.steps --workspace workspaces/seeded_full

search: made setup ## The cheapest INT8 that keeps the gates; goes on where it was stopped (WORKSPACE of CHECKPOINT)
	cd $(WORKSPACE) && python -m pipeline.studies.search $(if $(MINUTES),--minutes $(MINUTES)) $(if $(WRITE),--write)

ablation: made setup ## What each repair of static INT8 is worth
	cd $(WORKSPACE) && python -m pipeline.studies.ablation

targets: made setup ## What is executed in integers, for each INT8 target
	cd $(WORKSPACE) && python -m pipeline.studies.targets

calibration-study: made setup ## How many calibration samples are enough
	cd $(WORKSPACE) && python -m pipeline.studies.calibration

triton: made setup ## A Triton model repository of VARIANT (int8) in model_repository/; see docs/how-to/triton.md
	cd $(WORKSPACE) && python -m pipeline.release.triton --bundle bundles/$(or $(VARIANT),int8)

load: setup ## Users of locust against the server and a naive one; SOAK=seconds (0: none), TARGET=mini alone
	$(BIN)/python -m pipeline.studies.load $(if $(SOAK),--soak-seconds $(SOAK)) $(if $(TARGET),--target '$(TARGET)')

reports: setup ## Bring what workspaces measured into reports/, and its figures into the README
	$(BIN)/python -m pipeline.studies.reports
	$(BIN)/python -m pipeline.docs

test: lint ## Lint, type check and run all tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

lint: setup ## ruff, mypy, zizmor and actionlint for the workflows, and a search for secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows
	$(BIN)/actionlint -shellcheck= .github/workflows/*.yml
	@test -e .git || echo 'no git here: secrets are not looked for'
	test ! -e .git || git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

audit: setup ## Known holes in the pinned packages; asks PyPI
	$(BIN)/python -m tools.audit -r requirements/lock.txt -r requirements/cpu.txt

params: setup ## Compose conf/ into params.yaml
	$(BIN)/python -m pipeline.compose

ui: made setup ## Open the results in MLflow on http://127.0.0.1:5000 (WORKSPACE of CHECKPOINT)
	@cd $(WORKSPACE) && python -m pipeline.ui

# One resolution for Python 3.11 to 3.14 and every machine; what is locked stays unless pyproject.toml
# or UPGRADE= says otherwise.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock' --overrides requirements/without-torch.txt \
	$(if $(UPGRADE),--upgrade-package $(UPGRADE))
LOCK := requirements/lock.txt
LEFT_OUT := $(addprefix --no-emit-package ,flatbuffers numpy packaging protobuf)

lock: setup ## Write all locks with hashes from pyproject.toml and *.in; UPGRADE=package takes its newest version
	$(COMPILE) --no-emit-package onnxruntime --all-extras pyproject.toml requirements/torch.in -o $(LOCK)
	$(COMPILE) --constraints $(LOCK) requirements/build.in -o requirements/build.txt
	$(COMPILE) --constraints $(LOCK) --no-emit-package onnxruntime --extra build --extra text \
		pyproject.toml requirements/torch.in -o requirements/pipeline.txt
	$(COMPILE) --constraints $(LOCK) --no-emit-package onnxruntime --extra serve --extra audio \
		--extra media pyproject.toml -o requirements/serve.txt
	$(COMPILE) --no-deps requirements/cpu.in -o requirements/cpu.txt
	$(COMPILE) requirements/site.in -o requirements/site.txt
	$(COMPILE) --constraints $(LOCK) $(LEFT_OUT) requirements/gpu.in -o requirements/gpu.txt
	$(COMPILE) triton_server/requirements.in -o triton_server/requirements.txt
	$(COMPILE) --no-deps triton_server/server.in -o triton_server/server.txt
	$(COMPILE) --no-deps peer/requirements.in -o peer/requirements.txt
	$(COMPILE) peer/openvino.in -o peer/openvino.txt
	$(COMPILE) peer/llama.in -o peer/llama.txt

site: ## The documentation with search, in site/; a link that leads nowhere is an error
	@test -x .venv-site/bin/python || $(PYTHON) -m venv .venv-site
	@.venv-site/bin/python -m pip -qq --disable-pip-version-check install --require-hashes --no-deps \
		-r requirements/site.txt
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --quiet --strict

clean: ## Remove what the pipeline made here; DVC's cache, the environment and reports stay
	rm -rf build bundles samples listen.html dist mlruns mlflow.db .mypy_cache .ruff_cache .pytest_cache
