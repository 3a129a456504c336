"""Provisioning by a directory: people and groups as SCIM 2.0 (RFC 7643, RFC 7644) draws them."""
