"""Help comes without PyTorch, which takes seconds to import."""

import subprocess
import sys

import pytest

CODE = """
import sys
from prunus.cli import main
sys.argv[1:] = {arguments}
try:
    main()
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["prune", "--help"], ["--version"]])
def test_help_does_not_import_torch(arguments):
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(arguments=arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "prunus" in run.stdout
    assert run.stdout.split()[-1] == "False"
