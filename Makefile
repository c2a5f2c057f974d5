.PHONY: help check gofmt vet staticcheck tidy arch test fuzz bench update interop

help: ## list the targets
	@sed -n 's/^\([a-z][a-z ]*\):.*## /\1 — /p' Makefile

check: gofmt vet staticcheck tidy arch test ## all that a change must pass

gofmt vet staticcheck tidy arch: ## one check
	@bash .ci/step $@

test: ## all tests of all modules
	@bash .ci/step $@

fuzz: ## every fuzz target for FUZZTIME (10s)
	@bash .ci/step $@

bench: ## every benchmark, COUNT (1) times
	@bash .ci/step $@

update: ## rewrite the golden transcripts
	@bash .ci/step $@

interop: ## the tests against other servers
	@bash .ci/step $@
