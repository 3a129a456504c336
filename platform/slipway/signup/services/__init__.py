"""Letters to people: who wants in, who forgot a password, who has a new address."""
