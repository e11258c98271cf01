# The two commands of the README are `make repro` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
CHECKPOINT_DIR ?=
CHECKPOINT ?= $(if $(CHECKPOINT_DIR),local,mini)
OVERRIDES ?=

BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

# ONNX Runtime is one import package in two builds; nvidia-smi decides which one is installed.
BUILD := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
OTHER := $(if $(filter gpu,$(BUILD)),onnxruntime,onnxruntime-gpu)
STAMP := $(VENV)/.installed-$(BUILD)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
REQUIREMENTS := requirements/torch.txt requirements/lock.txt requirements/$(BUILD).txt

SELECT := $(if $(CHECKPOINT_DIR),checkpoint.path=$(abspath $(CHECKPOINT_DIR)))
ALL_OVERRIDES := $(if $(filter-out mini,$(CHECKPOINT)),checkpoint=$(CHECKPOINT)) $(SELECT) $(OVERRIDES)

# The default checkpoint, as committed, runs at the top; all else runs in a folder of its own.
ifeq ($(strip $(ALL_OVERRIDES)),)
WORKSPACE := .
else
WORKSPACE := workspaces/$(CHECKPOINT)
endif

# The compiled step is built where a compiler is; without it ONNX Runtime runs the steps.
NATIVE := $(VENV)/.native
NATIVE_SOURCES := $(wildcard native/*.t* native/src/* native/chattts_onnx_native/*.py)

.PHONY: help setup repro bench search sweep ablation calibration-study targets load triton test lint audit params ui lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk 'BEGIN {FS = ":.*## "}; {printf "  \033[36m%-8s\033[0m %s\n", $$1, $$2}'
	@echo "  variables: CHECKPOINT=mini|seeded_small|seeded_full|chattts|local CHECKPOINT_DIR=folder"
	@echo "             OVERRIDES='precision.int8.calibrator=entropy …' VENV=.venv PYTHON=python3"

setup: $(STAMP) $(NATIVE) ## Create .venv with the exact pins, the CPU or GPU build of ONNX Runtime, the compiled step

$(STAMP): pyproject.toml $(REQUIREMENTS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements/torch.txt
	$(PIP) uninstall --yes $(OTHER) 2>/dev/null
	$(PIP) install -r requirements/$(BUILD).txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*
	@touch $@

$(NATIVE): $(NATIVE_SOURCES) | $(STAMP)
	@if command -v "$${CXX:-c++}" >/dev/null; then $(PIP) install --no-deps ./native; \
		else echo "no C++ compiler: ONNX Runtime will run the decoding steps"; fi
	@touch $@

repro: setup ## Checkpoint to checked bundles, timed and recorded; ends with a table and wav files
ifeq ($(WORKSPACE),.)
	@$(BIN)/python -m pipeline.compose
else
	@$(BIN)/python -m pipeline.workspace $(CHECKPOINT) $(ALL_OVERRIDES)
endif
	@cd $(WORKSPACE) && python -m pipeline.repro
	@cd $(WORKSPACE) && python -m pipeline.summary

bench: ## Every variant beside the official package, on the full-size seeded checkpoint
	@$(MAKE) repro CHECKPOINT=seeded_full
	@test -x .venv-peer/bin/python || peer/install.sh
	$(BIN)/python -m pipeline.studies.profile --workspace workspaces/seeded_full
	$(BIN)/python -m pipeline.studies.streaming --bundle workspaces/seeded_full/bundles/int8
	$(BIN)/python -m pipeline.studies.peer --workspace workspaces/seeded_full

search: setup ## The cheapest INT8 that keeps the gates; goes on where it was stopped (WORKSPACE of CHECKPOINT)
	cd $(WORKSPACE) && python -m pipeline.studies.search $(if $(MINUTES),--minutes $(MINUTES)) $(if $(WRITE),--write)

sweep: setup ## The same space by Optuna, several processes; STORAGE= a shared file or database URL
	cd $(WORKSPACE) && python -m pipeline.studies.sweep $(if $(STORAGE),--storage $(STORAGE))

ablation: setup ## What each repair of static INT8 is worth
	cd $(WORKSPACE) && python -m pipeline.studies.ablation

targets: setup ## What is executed in integers, for each INT8 target
	cd $(WORKSPACE) && python -m pipeline.studies.targets

calibration-study: setup ## How many calibration samples are enough
	cd $(WORKSPACE) && python -m pipeline.studies.calibration

triton: setup ## A Triton model repository of VARIANT (int8) in model_repository/; see docs/how-to/triton.md
	cd $(WORKSPACE) && python -m pipeline.release.triton --bundle bundles/$(or $(VARIANT),int8)

load: setup ## Users of locust against the server and a naive one; SOAK=seconds (0: none), TARGET=mini alone
	$(BIN)/python -m pipeline.studies.load $(if $(SOAK),--soak-seconds $(SOAK)) $(if $(TARGET),--target '$(TARGET)')

test: lint ## Lint, type check and run all tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: setup ## ruff, mypy, zizmor and actionlint for the workflows, and a search for secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows
	$(BIN)/actionlint -shellcheck= .github/workflows/*.yml
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

audit: setup ## Known holes in the pinned packages; asks PyPI
	$(BIN)/pip-audit --strict --progress-spinner off --no-deps --disable-pip \
		-r requirements/torch.txt -r requirements/cpu.txt

params: setup ## Compose conf/ into params.yaml
	$(BIN)/python -m pipeline.compose

ui: setup ## Open the results in MLflow on http://127.0.0.1:5000 (WORKSPACE of CHECKPOINT)
	cd $(WORKSPACE) && mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1

lock: setup ## Write requirements/lock.txt from what is installed
	@{ echo "# Made by \`make lock\`: everything but torch and ONNX Runtime, which have CPU and GPU builds."; \
		$(PIP) freeze --all --exclude-editable | \
		grep -vE '^(pip|torch|triton|onnxruntime|onnxruntime-gpu|nvidia-.*|cuda-.*)( |==)'; } > requirements/lock.tmp
	@mv requirements/lock.tmp requirements/lock.txt

clean: ## Remove what the pipeline made here; DVC's cache, the environment and reports stay
	rm -rf build bundles samples listen.html dist mlruns mlflow.db .mypy_cache .ruff_cache .pytest_cache
