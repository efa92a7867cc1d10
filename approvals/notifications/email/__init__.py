"""Messages by e-mail, one letter a person: what they say in a mail, and how Django hands it to a server."""
