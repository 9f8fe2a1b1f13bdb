"""``python -m pytest_maskcheck merge``: makes one report of those of several shards or sessions."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from io import TextIOWrapper

from pytest_maskcheck.reports import jsonfile, merge, terminal


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters:
        arguments: the words behind the name of the program; ``None``: those of this process.

    Returns:
        0; 1 if a test is not interrupt-safe, or maskcheck itself failed; 5 if nothing was audited, unless that is allowed.

    Raises:
        SystemExit: with 2: something cannot be merged or written; why is said on standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m pytest_maskcheck", description="Works with reports of audits.")
    command = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "merge",
        help="make one JSON report of several",
        description="Make one JSON report of those of the shards of a session, or of several sessions with different tests, "
        "and print its summary. Exits with 1 if a defect makes a test fail, and with 5 if nothing was audited.",
    )
    command.add_argument(
        "reports", nargs="+", metavar="REPORT", help="a file that --maskcheck-report=json:REPORT wrote"
    )
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="where to write the merged report")
    command.add_argument("--allow-none", action="store_true", help="exit with 0 even if nothing was audited")
    options = parser.parse_args(arguments)
    try:
        audits = merge.merge([merge.read(path) for path in options.reports])
    except merge.MergeError as error:
        command.error(str(error))
    try:
        jsonfile.write(options.output, audits)
    except OSError as error:
        command.error(f"the merged report cannot be written: {error}; name a file in a folder that can be written to")
    lines = [*terminal.summary(audits)]
    status = 1 if any(audit.failures or audit.broken for audit in audits) else 0
    if not (status or options.allow_none or any(audit.audited for audit in audits)):
        lines.append("nothing was audited (exit status 5; --allow-none if that is meant)")
        status = 5
    try:
        _print(lines)
    except OSError as error:
        command.error(f"the summary cannot be printed: {error}; the merged report is in {options.output}")
    return status


def _print(lines: list[str]) -> None:
    """Print lines, whatever characters the encoding of standard output has.

    Raises:
        OSError: standard output cannot be written to, or is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for line in lines:
            print(line)  # noqa: T201  (a command)
        sys.stdout.flush()
    except OSError:
        # What is buffered would fail again when the interpreter ends, with a traceback and another exit status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


def run() -> int:
    """Run the command of this process; 3: a defect of ours, which must not look like a defect of the tests."""
    try:
        return main()
    except Exception:  # noqa: BLE001  (whatever it is)
        traceback.print_exc()
        print("maskcheck itself failed; please report this", file=sys.stderr)  # noqa: T201  (a command)
        return 3


if __name__ == "__main__":
    sys.exit(run())
