"""From what KubeRay, Kueue and the pods say to our status; pure functions, no client."""
