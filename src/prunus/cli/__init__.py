"""The command line: `prunus demo | inspect | prune | compare | verify | bench`.

app.py                what can be typed
options.py            options that commands share
demo.py, prune.py...  one command a file; each imports what is slow to import when it runs
sources.py            MODEL: where a dense model comes from
datasets.py           DATA: where data come from
saved.py              a saved folder, with the dense model that it was cut from
render.py             tables and bars for people, JSON for machines
errors.py             what happened, why, and a hint; exit codes
"""

from prunus.cli.app import main

__all__ = ["main"]
