"""Compiled before it is waited for."""

import sys
import threading

from fhemb_xr.kernels import _jit


def test_compiling__is_said_once_and_only_after_a_while(monkeypatch, capsys):
    word = _jit._Word()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(_jit, "_PATIENCE_S", 0.05)
    word.on_start(None)
    word.on_start(None)  # a kernel that compiles another
    word.on_end(None)
    word.timers[threading.get_ident()][1].join(5)
    word.on_end(None)
    assert not word.timers
    word.say()
    assert capsys.readouterr().err.count("compiling") == 1
    monkeypatch.setattr(_jit, "_PATIENCE_S", 60)
    quick = _jit._Word()
    quick.on_start(None)
    quick.on_end(None)
    assert not quick.timers
    assert not quick.said
