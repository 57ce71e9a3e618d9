"""The command line: one function per verb, one exit code per kind of outcome.

Results go to standard output, everything else to standard error, so that output can be piped.
Exit codes: 0 done; 1 the data or the run failed, told in one line; 2 wrong usage; 3 a gate failed,
rows have drifted, or a card does not agree; 130 stopped by Ctrl-C, 143 by SIGTERM; 141 the reader
of the pipe went away.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from synthgan.cli.parser import build_parser
from synthgan.cli.verbs import Answer, UsageError
from synthgan.exceptions import DataWarning, SynthganError

__all__ = ["main"]


@contextlib.contextmanager
def _short_warnings(*, quiet: bool, debug: bool) -> Iterator[None]:
    """Show synthgan's warnings as one line on standard error; those of others with --debug."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if not quiet:
            print(f"synthgan: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default" if debug else "ignore")
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = show
        yield


class _Terminated(BaseException):
    """SIGTERM came."""


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that the state of a fit is kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # only there it can be set
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (SynthganError, OSError, ImportError, MemoryError)):
        return text or type(error).__name__
    return f"unexpected {type(error).__name__}: {text} (--debug shows where)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
        if args.as_json and getattr(args, "output", None) == "-":
            parser.error("--json and -o - both want standard output; choose one")
    except SystemExit as stop:  # argparse has printed why
        return stop.code if isinstance(stop.code, int) else 2
    try:
        with _sigterm_raises(), _short_warnings(quiet=args.quiet, debug=args.debug):
            answer: Answer = args.run(args)
        if args.as_json:
            print(json.dumps(answer.data, indent=2, ensure_ascii=False))
        elif answer.text:
            print(answer.text)
        sys.stdout.flush()
        return answer.code
    except (KeyboardInterrupt, _Terminated) as stop:
        kept = getattr(args, "checkpoint", None)
        advice = "" if kept is None else f"; the same command goes on from {kept}"
        print(f"synthgan: stopped{advice}", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no flush error at exit
            return 141
        if args.debug:
            traceback.print_exc()
        print(f"synthgan: error: {_describe(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
