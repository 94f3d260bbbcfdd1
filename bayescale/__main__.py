"""python -m bayescale: the command line, where nothing is installed."""

from bayescale.cli import main

main(prog_name="bayescale")
