"""What runs on Ray nodes: recipes, engines, the hosts that carry them, and the node agent."""
