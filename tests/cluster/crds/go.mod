module slipway/tests/cluster/crds

go 1.24.0

require (
	github.com/ray-project/kuberay/ray-operator v1.5.1
	sigs.k8s.io/kueue v0.13.2
)
