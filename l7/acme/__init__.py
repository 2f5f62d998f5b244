"""Certificates by ACME (RFC 8555): what is stored, when to renew, and the conversation with an authority."""
