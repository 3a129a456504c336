"""From our custom resources to KubeRay's manifests; pure functions, no client."""
