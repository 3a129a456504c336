"""Signing on through somebody who answers for people: OpenID Connect, LDAP."""
