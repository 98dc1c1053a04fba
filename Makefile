# The commands of this project. Each recipe is one line; what is longer lies in hack/.
.DEFAULT_GOAL := help
.PHONY: help run test test-lowest test-newest check golden judge lock bench soak e2e e2e-all e2e-kube kubernetes oracle image clean machine packages venv guest node-packages

help: ## Print this help
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

run: machine venv guest ## Set up what is missing, then run the demo guest from start to power-off (KVM=1, VMI=FILE)
	@hack/run-demo

test: machine venv guest ## Set up what is missing, then run every test, those with a real QEMU too (ARGS='-k name')
	@hack/run-tests $(ARGS)

test-lowest: machine packages guest ## The same with the oldest dependencies that setup.cfg allows
	@hack/make-venv lowest
	@VENV=.cache/venv-lowest hack/run-tests $(ARGS)

test-newest: machine packages guest ## The same with the newest release of every dependency
	@hack/make-venv newest
	@VENV=.cache/venv-newest hack/run-tests $(ARGS)

judge: venv ## Let an integer program judge the planner on random machines (ARGS='--cases 100 --seconds 3')
	@PYTHONPATH=. .venv/bin/python hack/judge --against tests/planner/scores-585dc6d.txt $(ARGS)

lock: packages ## Lock every Python dependency anew, at its newest release, in hack/locked
	@hack/lock-dependencies $(ARGS)

check: venv ## Check the code: ruff, mypy strict, shellcheck
	@hack/check-code

golden: venv ## Write the golden files anew; look at the diff before you commit it
	@hack/write-golden

bench: venv guest ## Measure the targets of performance and print them as a table
	@hack/run-benchmarks

soak: venv guest ## Start and stop guests one after the other, 200 or ARGS, and fail where one leaves anything behind
	@.venv/bin/python hack/soak $(ARGS)

e2e: venv guest node-packages ## Run the tests of the whole path on an emulated node (SHAPE=smt-2n, DEBIAN=13, ARGS='-k name')
	@hack/run-e2e $${SHAPE:-smt-2n} $(ARGS)

e2e-all: venv guest node-packages ## The same on a node of every shape, one after the other
	@hack/run-e2e all $(ARGS)

kubernetes: image guest ## Build a real Kubernetes for the emulated node, by Go (KUBERNETES=1.37)
	@.venv/bin/python hack/build-kubernetes --kubernetes $${KUBERNETES:-1.37}

e2e-kube: venv guest node-packages ## Run the tests on an emulated node with a real Kubernetes (KUBERNETES=1.37, SHAPE=smt-2n, ARGS='-k name')
	@hack/run-e2e-kube $${KUBERNETES:-1.37} $${SHAPE:-smt-2n} $(ARGS)

oracle: venv ## Compare the simulated kubelet with the code of real ones, built by Go, on 2000 cases or ARGS
	@.venv/bin/python hack/oracle $(ARGS)

image: venv node-packages ## Build the container image: .cache/image/virt-launcher.tar for podman load, and what a Containerfile adds
	@.venv/bin/python hack/image

clean: ## Remove everything that was built: the virtual environment, the guest, caches
	@hack/remove-built

machine:
	@hack/check-machine

packages:
	@hack/install-packages

venv: packages
	@hack/make-venv

guest: machine packages
	@hack/build-guest

node-packages: packages
	@hack/install-packages node
