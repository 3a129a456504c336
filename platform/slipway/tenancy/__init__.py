"""Who uses the platform: organisations, projects, people and their keys."""
