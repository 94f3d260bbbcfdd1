"""From a Model and Runs to a Fit."""
