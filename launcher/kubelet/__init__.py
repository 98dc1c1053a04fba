"""What the kubelet's static CPU manager would hand to a container: the QoS rules, the options and the allocation."""
