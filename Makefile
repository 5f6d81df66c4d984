# The only commands to know. Each is a script of its own: scripts/NAME --help.
.PHONY: dev check test cov bench wheel run

dev: ## make .venv-dev with everything a developer needs
	python3 scripts/lib/environment.py dev

check: ## lint, types, stubs, floors, tidy, docstrings
	scripts/check

test: ## every test in the release, checked and sanitized builds
	scripts/test

cov: ## line coverage of Python and Cython
	scripts/coverage

bench: ## benchmarks with ratios
	scripts/bench

wheel: dev ## sdist and wheel into dist/
	.venv-dev/bin/python -m build --no-isolation

run: ## the demo
	scripts/demo
