"""The admin endpoint: figures for monitoring, and the page that shows what l7 does, with what it asks for."""
