"""OAuth 2.0: whom to ask for a token, with what proof, and the tokens that are kept."""
