"""`prunus verify DIR`: is the saved model as accurate as the dense one?"""

import typer

from prunus.cli.errors import Exit
from prunus.cli.options import Data, Dense, Folder, Input, Json, Margin, Quiet, Weights, sizes
from prunus.cli.render import Screen

EXAMPLES = """
prunus verify small --data digits --weights dense.safetensors
prunus verify small --data data.py:loaders --dense models.py:build
prunus verify small --data digits --json && echo same
"""
CODES = {"same": Exit.DONE, "worse": Exit.WORSE, "not enough data to tell": Exit.NOT_ENOUGH_DATA}


def verify(  # noqa: PLR0913 - what can be typed
    folder: Folder,
    *,
    data: Data,
    margin: Margin = 0.01,
    weights: Weights = None,
    dense: Dense = None,
    input: Input = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the accuracy of a saved model and the dense one.

    Exit code 0: same; 3: worse; 4: not enough data to tell.
    """
    from prunus.cli import steps
    from prunus.cli.datasets import open_data
    from prunus.cli.saved import open_saved
    from prunus.save.sealed import plain
    from prunus.verify.paired import check_margin

    screen, shape = Screen(json=json, quiet=quiet), sizes(input)
    check_margin(margin)
    found = open_data(data, shape=shape)
    saved = open_saved(folder, dense=dense, weights=weights, shape=shape, data=found, trained=True)
    comparison = steps.compared(screen, saved.dense.model, saved.model, found, margin=margin)
    screen.show(str(comparison))
    screen.result({"folder": str(folder), "dense": saved.dense.record, **plain(comparison)})
    raise typer.Exit(CODES[comparison.verdict])
