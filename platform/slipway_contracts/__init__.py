"""Words that the control plane, the runtime and the operator all speak; standard library only."""
