# What a person types. Every target does all its own set-up, through scripts/setup; without make, run the scripts themselves:
# scripts/demo, scripts/test, scripts/lint, scripts/setup images, scripts/fuzz, scripts/bench, scripts/cleanup.

.DEFAULT_GOAL := help
.PHONY: help demo test lint images fuzz bench bench-walarchive clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 25

demo: ## lose a master and prove that no acknowledged row went with it; ARGS="-json" passes flags
	@scripts/demo $(ARGS)

test: ## everything that CI runs
	@scripts/test

lint: ## golangci-lint alone; ARGS="--fix" passes flags
	@scripts/lint $(ARGS)

images: ## build the images of the test servers
	@scripts/setup images

fuzz: ## every fuzz target for FUZZTIME each (30s, or a number of inputs: 10000000x)
	@scripts/fuzz $(or $(FUZZTIME),30s)

bench: ## time parts of the project beside other programs; ARGS="pgconf -time 5s" chooses one and passes flags
	@scripts/bench $(ARGS)

bench-walarchive: ## only the WAL archive; ARGS="-parts push" passes flags
	@scripts/bench walarchive $(ARGS)

clean: ## end what killed runs left behind; remove bin and .cache
	@scripts/cleanup
	rm -rf bin .cache
