"""Signing on by SAML 2.0: the web browser profile, begun here, answered by HTTP-POST."""
