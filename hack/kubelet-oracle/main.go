// kubelet-oracle answers questions about a node and a Pod by the kubelet's own code: one JSON document a line in, one
// out. What it links is the kubelet of the version whose go.mod it was built with.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/go-logr/logr"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
)

// A question's line is a node and a Pod: some kilobytes, and a hundred for 2,048 CPUs.
const maxLineBytes = 4 << 20

func main() {
	klog.SetLogger(logr.Discard())
	if err := answerAll(); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet-oracle:", err)
		os.Exit(1)
	}
}

func answerAll() error {
	// The options of the CPU manager that are alpha, as a node has them that uses them.
	if err := setGates(map[string]bool{"CPUManagerPolicyAlphaOptions": true}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 64<<10), maxLineBytes)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var question Question
		if err := json.Unmarshal(lines.Bytes(), &question); err != nil {
			return fmt.Errorf("question %.80q: %w", lines.Text(), err)
		}
		answer, err := question.answer()
		if err != nil {
			return fmt.Errorf("question %.80q: %w", lines.Text(), err)
		}
		answer.Version = version()
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// version returns the version of Kubernetes that is linked in, such as v1.37.2.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/kubernetes" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func setGates(gates map[string]bool) error {
	return utilfeature.DefaultMutableFeatureGate.SetFromMap(gates)
}
