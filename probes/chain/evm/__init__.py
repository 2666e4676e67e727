"""How EVM nodes are asked."""
