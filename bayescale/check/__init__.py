"""Whether the answer is to be trusted."""
