"""How the servers of a route were when one was picked for a request: found out when somebody asks."""
