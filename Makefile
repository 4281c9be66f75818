PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo demo-credo test browser check bench figures learning soak lowest clean

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) bash scripts/setup.sh
	touch $@

demo: $(READY)  ## train TD3-GAIL with CREDO on Hopper-v5, two seeds side by side
	$(BIN)/credo imitate --env Hopper-v5 --demos hopper-expert --learner td3 --credo filter --threshold 5 --seeds 2 --steps 25000 --evaluation-interval 1250 --video --out runs/demo

demo-credo: $(READY)  ## a run in which CREDO acts, beside the same run without it
	$(BIN)/python examples/credo_acts.py

test: $(READY) browser  ## the test suite
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

browser:  ## a Chromium, in which the tests open reports
	@command -v chromium || command -v chromium-browser || command -v google-chrome || command -v chrome || \
		bash scripts/debian.sh "tests of reports in a browser" chromium

learning: $(READY)  ## slow learning tests
	$(BIN)/python -m pytest tests/learning

soak: $(READY)  ## faults in number: kills, full disks, damage, every learner cut and gone on with
	$(BIN)/python -m pytest tests/soak

check: $(READY)  ## lint, format, types, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layering.py

lowest: browser  ## the suite on the oldest versions that pyproject.toml admits
	mkdir -p build
	$(PYTHON) scripts/lowest.py > build/lowest.txt
	PYTHON=$(PYTHON) VENV=.venv-lowest CONSTRAINTS=build/lowest.txt bash scripts/setup.sh
	.venv-lowest/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

bench: $(READY)  ## speed, beside the machine's ceiling and stable-baselines3
	PYTHON=$(PYTHON) sh benchmarks/setup_peer.sh
	$(BIN)/python -m benchmarks

figures: $(READY)  ## the figures and tables of docs/stability.md and its pages, from results/stability
	$(BIN)/python -W ignore scripts/stability_figures.py
	$(BIN)/python -W ignore scripts/stability_tables.py

clean:
	rm -rf $(VENV) .venv-bench .venv-lowest build *.egg-info src/*.egg-info
