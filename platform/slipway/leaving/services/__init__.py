"""What belongs to an organisation, taken away or removed."""
