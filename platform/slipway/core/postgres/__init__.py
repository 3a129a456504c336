"""Django's PostgreSQL backend, with connections that outlive a request in the web process."""
