"""Incidents to be played: one traffic through l7, HAProxy and nginx, to be looked into by what each of them tells."""
