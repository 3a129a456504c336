"""How the chain hangs together; no Django, so that it is verified offline."""
