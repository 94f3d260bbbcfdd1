"""From a fit to a decision, always a distribution."""
