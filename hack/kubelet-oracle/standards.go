package main

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// judge says of each Pod Security Standard why the API server refuses the Pod in a namespace that enforces it.
func (answer *Answer) judge(pod *v1.Pod) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	answer.Standards = map[string]string{}
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		results := evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec)
		judged := policy.AggregateCheckResults(results)
		answer.Standards[string(level)] = ""
		if !judged.Allowed {
			answer.Standards[string(level)] = judged.ForbiddenDetail()
		}
	}
	return nil
}
