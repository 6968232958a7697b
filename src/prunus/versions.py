"""What made an artefact: the versions that every plan, saved model and study carries."""

import platform

import torch

from prunus._version import __version__


def versions() -> dict[str, str]:
    """Return the versions of prunus, torch and Python."""
    return {
        "prunus": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
