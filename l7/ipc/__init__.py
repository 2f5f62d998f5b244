"""How processes of l7 talk: typed messages, their form on the wire, the channel that carries them."""
