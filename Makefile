# The commands of this project. Each recipe is one line; what is longer lies in hack/.
.DEFAULT_GOAL := help
.PHONY: help run test check golden bench soak e2e e2e-all image clean packages venv guest node-packages

help: ## Print this help
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

run: venv guest ## Set up what is missing, then run the demo guest from start to power-off (KVM=1, VMI=FILE)
	@hack/run-demo

test: venv guest ## Set up what is missing, then run every test, those with a real QEMU too (ARGS='-k name')
	@hack/run-tests $(ARGS)

check: venv ## Check the code: ruff, mypy strict, shellcheck
	@hack/check-code

golden: venv ## Write the golden files anew; look at the diff before you commit it
	@hack/write-golden

bench: venv guest ## Measure the targets of performance and print them as a table
	@hack/run-benchmarks

soak: venv guest ## Start and stop guests one after the other, 200 or ARGS, and fail where one leaves anything behind
	@.venv/bin/python hack/soak $(ARGS)

e2e: venv guest node-packages ## Run the tests of the whole path on an emulated node (SHAPE=smt-2n, ARGS='-k name')
	@hack/run-e2e $${SHAPE:-smt-2n} $(ARGS)

e2e-all: venv guest node-packages ## The same on a node of every shape, one after the other
	@hack/run-e2e all $(ARGS)

image: venv node-packages ## Build the container image: .cache/image/virt-launcher.tar for podman load, and what a Containerfile adds
	@.venv/bin/python hack/image

clean: ## Remove everything that was built: the virtual environment, the guest, caches
	@hack/remove-built

packages:
	@hack/install-packages

venv: packages
	@hack/make-venv

guest: packages
	@hack/build-guest

node-packages: packages
	@hack/install-packages node
