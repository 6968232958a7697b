"""What each operator does to axes: one file per operator family.

An operator without a rule freezes the axes that reach it; it is never taken for pointwise.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
