"""The kernel: records with a life, the loop that looks at them, and HTTP manners."""
