"""Certificates and the contexts of OpenSSL that are made of them, by the standard library and ``cryptography``."""
