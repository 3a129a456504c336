"""Plans: what the house offers for a fee per term, and which project has taken how many units."""
