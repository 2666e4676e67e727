"""How CometBFT nodes are asked."""
