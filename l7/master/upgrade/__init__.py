"""Upgrade in place (USR2), on both sides."""
