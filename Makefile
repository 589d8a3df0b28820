# Everything here works on a machine with Go and nothing else.
GO       ?= go
BIN      := bin/roost
TOOLS    := .tools
LINT     := $(TOOLS)/golangci-lint
LINT_VER := v2.15.0
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s
FAULTS_TIME ?= 10m
BENCH    ?= .
# more arguments of roost bench, as in: make bench-check BENCH_FLAGS="--only P1,P3"
BENCH_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help build run test unit check fmt fmt-check vet lint tidy-check floors e2e faults examples bench overload bench-full bench-check scale drill-power drill-upgrade fuzz clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/roost
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/roost

run: build ## start a registry on 127.0.0.1:4222 (ARGS="--listen 127.0.0.1:4333" to change it)
	./$(BIN) serve --store-dir .roost $(ARGS)

test: ## unit, contract and short whole-system tests, with the race detector
	$(GO) test -race -short -timeout 20m ./...

e2e: ## every whole-system test, the long ones too
	$(GO) test -race -timeout 45m ./e2e/... ./cmd/...

faults: ## whatever can go wrong, for FAULTS_TIME; SEED=N repeats a run, FAULTS=a,b leaves only some of it, DEPLOYMENT=embedded|external
	sh e2e/faults/overlay.sh bin/overlay
	FAULTS_TIME=$(FAULTS_TIME) SEED=$(SEED) DEPLOYMENT=$(DEPLOYMENT) FAULTS=$(FAULTS) $(GO) test -overlay bin/overlay/overlay.json -tags wallclock -count=1 -v -timeout 0 -run TestWhateverGoesWrong ./e2e/faults

examples: ## what examples/ shows, run; needs Node.js 20 or newer, and npm
	$(GO) test -race -count=1 -tags node -run InNode ./e2e

check: fmt-check vet lint tidy-check floors ## format, vet, lint, dependencies, floors

fmt: $(LINT) ## format the code
	$(LINT) fmt ./...

fmt-check: $(LINT)
	@out=$$($(LINT) fmt --diff ./...); if [ -n "$$out" ]; then echo "$$out"; echo "run: make fmt"; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags node,scale ./e2e/...
	$(GO) vet -tags drill ./cmd/roost

lint: $(LINT)
	$(LINT) run ./...

tidy-check:
	$(GO) mod tidy -diff

floors: ## which package may reach which
	$(GO) test -count=1 -run 'TestFloors|TestPackageComments' ./e2e

bench: ## micro-benchmarks of what lives in one process, ready for benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./backend/... ./bus/... ./kvstore/...

overload: ## the curve of an overloaded node: offered, accepted, refused, latency; OVERLOAD_TIME=5s each
	$(GO) test -tags scale -count=1 -run TestOverload -v ./e2e/scale

bench-check: build ## by hand: a short run's ratios against those of docs/benchmarks.json; exit code 1 if one is far off
	-./$(BIN) bench --rounds 3 --duration 300ms $(BENCH_FLAGS) --json > bin/bench-check.json
	./$(BIN) bench compare docs/benchmarks.json bin/bench-check.json

# What cannot be measured is on the page, and must not cost what could be.
bench-full: build ## by hand, on a quiet machine: docs/benchmarks.{json,svg,md} and docs/scaling.md anew
	-./$(BIN) bench --nodes 3 $(BENCH_FLAGS) --json > bin/benchmarks-nodes.json
	-./$(BIN) bench --curves --scale 1000000 $(BENCH_FLAGS) --json > bin/benchmarks.json
	./$(BIN) bench report bin/benchmarks.json bin/benchmarks-nodes.json --svg docs/benchmarks.svg --markdown docs/benchmarks.md
	cp bin/benchmarks.json bin/benchmarks-nodes.json docs/
	./$(BIN) bench report docs/benchmarks.json docs/benchmarks-nodes.json --scaling docs/scaling.md

scale: ## a million registrations, a hundred thousand leases, a thousand followers: 20 minutes, 10 GB
	$(GO) test -tags scale -count=1 -timeout 60m -v ./e2e/scale

drill-power: ## by hand, as root on Linux: one and three nodes lose power under load, DRILL_TIME (12s) after they began
	$(GO) test -tags drill -count=1 -timeout 60m -v -run 'TestDrillPowerIsLost|TestDrillNoTokenComesAgain' ./cmd/roost

drill-upgrade: ## by hand: a rolling upgrade under load from FROM, an older commit or tag, and back
	rm -rf bin/older && mkdir -p bin/older && git archive $(FROM) | tar -x -C bin/older
	cd bin/older && $(GO) build -o ../roost-older ./cmd/roost
	ROOST_OLDER=$(abspath bin/roost-older) $(GO) test -tags drill -count=1 -timeout 60m -v -run TestDrillAnUpgrade ./cmd/roost

fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

clean: ## remove what was built
	rm -rf bin $(TOOLS)

$(LINT):
	GOBIN=$(abspath $(TOOLS)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VER)
