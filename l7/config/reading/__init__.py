"""From flags, environment and file to a configuration, or to words about what is wrong."""
