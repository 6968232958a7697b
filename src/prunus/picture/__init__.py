"""A network as a picture: every layer in the order in which it runs, coloured by what stays.

prunus.explain(model, inputs) -> Layers -> one HTML page that works offline
"""

from prunus.picture.page import picture

__all__ = ["picture"]
