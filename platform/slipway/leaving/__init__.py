"""An organisation takes everything with it, or leaves: all of its things, and nobody else's."""
