# Each target is one script in deploy/; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint bench soak contract cases install clean
MAKEFLAGS += --no-print-directory

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install and start what is missing: toolchain parts, Docker, images
	@deploy/setup.sh

build: ## build the daemon and the containers' static binaries
	@deploy/build.sh

demo: ## play one issue for real (KEEP=1 keeps it running until Ctrl-C)
	@deploy/demo.sh

test: ## set up, lint, then run all tests
	@deploy/test.sh

bench: ## measure speed and memory, each figure beside its floor (target/bench.json)
	@deploy/bench.sh

soak: ## work on issues for MINUTES=15 under faults and kills, then check that nothing is left
	@deploy/soak.sh $(MINUTES)

contract: ## hold the forge double, or a real server at FORGE_URL, to what we need of a forge
	@deploy/contract.sh

cases: ## write docs/CASES.md anew: each attack, fault and bad input with its test
	@cargo run --quiet --locked -p e2e --bin cases

lint: ## check format, lints and scripts
	@deploy/lint.sh

install: ## build, then copy programs, images and the systemd unit to /usr/local and /etc
	@deploy/install.sh

clean: ## remove what was built, and the default bottle's image
	@deploy/clean.sh
