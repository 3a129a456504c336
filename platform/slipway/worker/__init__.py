"""The Celery app and the tasks that look at what is due."""
