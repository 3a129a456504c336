"""Programs and definitions of the Kubernetes world for tests, from Go modules pinned here."""
