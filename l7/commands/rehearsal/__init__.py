"""``l7 rehearse``: a private l7 under load is reloaded, broken, killed, upgraded; every request is accounted for."""
