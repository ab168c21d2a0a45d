"""`python -m entrain`: the command line, where the script is not on the path."""

from entrain.cli import app

app()
