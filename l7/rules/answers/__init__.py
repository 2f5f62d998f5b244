"""What clients are answered where no server is asked, or none has answered: redirects, own answers, error pages."""
