"""The Django control plane: who asked for what, and how far it is."""
