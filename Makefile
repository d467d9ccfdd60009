# Each target is one script in deploy/; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint install clean
MAKEFLAGS += --no-print-directory

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: ## install and start what is missing: toolchain parts, Docker, images
	@deploy/setup.sh

build: ## build the daemon and the containers' static binaries
	@deploy/build.sh

demo: ## play one issue for real (KEEP=1 keeps it running until Ctrl-C)
	@deploy/demo.sh

test: ## set up, lint, then run all tests
	@deploy/test.sh

lint: ## check format, lints and scripts
	@deploy/lint.sh

install: ## build, then copy programs, images and the systemd unit to /usr/local and /etc
	@deploy/install.sh

clean: ## remove what was built, and the default bottle's image
	@deploy/clean.sh
