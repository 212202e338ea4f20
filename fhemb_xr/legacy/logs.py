"""The original's loggers, by standard logging: quiet until somebody asks.

A logger ``fhemb_xr.legacy.<module>`` for each of the original's modules. Every call says at
level DEBUG what it was asked for: once, never for each frame and person.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fhemb_xr.ops.checks import unknown_name

ROOT = "fhemb_xr.legacy"
MODULES = (
    "embedding", "tutils", "dbms", "tseries", "mixins", "piece", "cutils", "factories",
    "wdecomp",
)  # fmt: skip
FORMAT = "%(asctime)s %(name)s %(levelname)s: %(message)s"
logging.getLogger(ROOT).addHandler(logging.NullHandler())


def of(module: str) -> logging.Logger:
    """The logger of one of the original's modules.

    Raises
    ------
    UnknownNameError
        No such module, with the nearest ones.
    """
    name = module.rpartition(".")[2]
    if name not in MODULES:
        raise unknown_name("module", module, MODULES)
    return logging.getLogger(f"{ROOT}.{name}")


def setup_logging(
    force: bool = False, module_levels: Mapping[str, str | int] | None = None
) -> None:
    """Show the messages of the old names, from WARNING on, or as ``module_levels`` says.

    Parameters
    ----------
    force
        Whether everything is applied again. Otherwise a second call adds no handler, and keeps
        the levels that it does not name.
    module_levels
        Level of each module: a name or a number.

    Raises
    ------
    UnknownNameError
        No such module.
    ValueError
        No such level.

    Examples
    --------
    >>> from fhemb_xr import legacy
    >>> legacy.setup_logging(force=True, module_levels={"embedding": "WARNING"})
    """
    levels = {of(name): _level(level) for name, level in (module_levels or {}).items()}
    root = logging.getLogger(ROOT)
    shown = [h for h in root.handlers if not isinstance(h, logging.NullHandler)]
    if force:
        for handler in shown:
            root.removeHandler(handler)
        for name in MODULES:
            of(name).setLevel(logging.NOTSET)
        root.setLevel(logging.NOTSET)
    if force or not shown:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    if root.level == logging.NOTSET:
        root.setLevel(logging.WARNING)
    for logger, level in levels.items():
        logger.setLevel(level)


def set_log_levels(module_levels: Mapping[str, str | int]) -> None:
    """Set the levels of some modules, and show what they say.

    Raises
    ------
    UnknownNameError, ValueError
        As :func:`setup_logging`.
    """
    setup_logging(module_levels=module_levels)


def set_logger_level(name: str, level: str | int) -> None:
    """Set the level of one module, and show what it says.

    Raises
    ------
    UnknownNameError, ValueError
        As :func:`setup_logging`.
    """
    setup_logging(module_levels={name: level})


def _level(level: Any) -> int:
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    known = logging.getLevelNamesMapping()
    if not isinstance(level, str) or level.upper() not in known:
        raise ValueError(f"a level is a number or one of {', '.join(known)}, found {level!r}")
    return known[level.upper()]
