"""Public names that are imported when they are first asked for, so that `import prunus` is quick.

PyTorch alone takes seconds, which `prunus --help` has no need of.
"""

import sys
from collections.abc import Collection, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """A package that imports a public name when it is first asked for.

    Python binds a submodule to its name in the package once it is imported: from then on
    `prunus.verify` would be the package `prunus/verify/`. Here it stays the function.
    """

    _modules: Collection[str]
    _homes: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        if name in self._modules:
            return import_module(f"{self.__name__}.{name}")
        if name not in self._homes:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        thing = vars(self)[name] = getattr(import_module(self._homes[name]), name)
        return thing

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in self._homes and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._modules, *self._homes})


def make_lazy(package: str, *, modules: Collection[str], homes: Mapping[str, str]) -> None:
    """Let a package import its public names when they are first asked for.

    Args:
        package: Its name, from within it.
        modules: Public modules of the package.
        homes: Every other public name -> the module that has it.
    """
    module = sys.modules[package]
    vars(module).update(_modules=modules, _homes=homes)
    module.__class__ = LazyModule
