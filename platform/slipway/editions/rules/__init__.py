"""What a licence is and what editions differ in; no Django, so that vendors need none."""
