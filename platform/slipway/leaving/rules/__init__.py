"""What is checked where there is no platform; no Django."""
