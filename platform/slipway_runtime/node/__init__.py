"""The node agent: starts Ray on this machine and carries out the four verbs over a Unix socket."""
