# make run:  name the breeds of three cats and a dog in assets/images.
# make test: lint, types and the tests that need no more than requirements/test.txt.
# make test-all: lint, types and every test; installs requirements/dev.txt.
# make fuzz: ten minutes of damaged input for each kind that the package reads.
# make lock: renew the pinned packages in requirements/; needs uv.
# make wheels: the source distribution and the wheel of every platform, in dist; needs no compiler.
# make docs: these pages as a site, in build/site; needs npm.
# make notebooks: run the notebooks and keep their outputs.

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt $(shell find ghostnet/kernels/csrc -type f)
PHOTOGRAPHS := $(addprefix assets/images/,cat.jpg kitten.jpg longhair_cat.jpg pug.jpg)
FUZZ_SECONDS ?= 600
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/pip install --quiet
# 1.8 GB of MindSpore's 2.5, which it loads on GPUs and Ascend only.
ACCELERATORS := $(addprefix $(VENV)/lib/python3*/site-packages/mindspore/lib/plugin/,*gpu* *ascend*)
LOCK := uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.10

run: $(VENV)/.installed
	$(BIN)/ghostnet predict $(PHOTOGRAPHS)

test: lint
	$(PYTEST) -m 'not nightly'

test-all: $(VENV)/.installed-dev lint
	$(PYTEST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(VENV)/.installed-test
	-$(INSTALL) --require-hashes --requirement requirements/fuzz.txt
	for name in card uid checkpoint safetensors image; do \
		$(BIN)/python tests/fuzz $$name --seconds $(FUZZ_SECONDS) || exit 1; \
	done

lock:
	$(LOCK) pyproject.toml --extra dev --group build --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --extra test --group build --constraint requirements/dev.txt \
		--output-file requirements/test.txt
	$(LOCK) --group fuzz --output-file requirements/fuzz.txt
	$(LOCK) --group build --group wheels --constraint requirements/dev.txt \
		--output-file requirements/wheels.txt

wheels: $(VENV)/.installed-wheels
	$(BIN)/python release/wheels.py

docs: $(VENV)/.installed-docs website/node_modules
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/.installed-dev
	$(BIN)/python website/execute_notebooks.py

# An editable installation: it compiles the kernels into ghostnet/kernels.
$(VENV)/.installed: $(SOURCES) | $(VENV)
	@echo "Installing MindSpore and compiling the kernels in $(VENV): 2.8 GB, a few minutes."
	$(INSTALL) --editable .
	touch $@

# The packages of test.txt are among those of dev.txt, in the same versions.
$(VENV)/.installed-test $(VENV)/.installed-dev: $(VENV)/.installed-%: requirements/%.txt $(SOURCES) | $(VENV)
	@echo "Installing $< and compiling the kernels in $(VENV): a few minutes."
	$(INSTALL) --require-hashes --requirement $<
	command -v nvidia-smi npu-smi >/dev/null || rm -rf $(ACCELERATORS)
	$(INSTALL) --no-build-isolation --no-deps --editable .
	touch $(VENV)/.installed $(VENV)/.installed-test $@

$(VENV)/.installed-wheels: requirements/wheels.txt | $(VENV)
	$(INSTALL) --require-hashes --requirement $<
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	touch $@

website/node_modules: website/package-lock.json
	npm ci --prefix website --ignore-scripts
	touch $@

$(VENV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

clean:
	rm -rf $(VENV) build dist website/node_modules $(wildcard ghostnet/kernels/libghostnet_*)

.NOTPARALLEL:
.PHONY: run test test-all lint fuzz lock wheels docs notebooks clean
