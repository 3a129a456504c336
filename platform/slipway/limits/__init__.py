"""How fast a project, a key or a model may be asked."""
