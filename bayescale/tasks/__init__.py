"""Success on suites of tasks: overlap, emergence, and whether there is a law at all."""
