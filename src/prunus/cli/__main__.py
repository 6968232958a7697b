"""`python -m prunus.cli`: the command line where the script `prunus` is not on the path."""

from prunus.cli.app import main

main()
