"""How Solana nodes are asked."""
