"""The report: one page with what was asked, the answer, its findings, figures and tables, and sliders."""
