"""What of the rules needs gevent: logins, which wait for bcrypt, compression in streams, and where https is."""
