"""``python -m pytest_maskcheck``: ``merge`` merges the reports of several shards or sessions, ``cure`` tries edits for their defects."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from io import TextIOWrapper

from pytest_maskcheck.reports import formats, github, merge, reading
from pytest_maskcheck.reports.summary import summary
from pytest_maskcheck.reports.unaudited import extent, unaudited
from pytest_maskcheck.system.plain import quoted
from pytest_maskcheck.system.same_file import written_twice


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters:
        arguments: the command-line arguments after the program name; ``None``: those of this process.

    Returns:
        0; 1 if a test is not interrupt-safe, a session ended early, or no edit was found for a defect; 5 if nothing was audited, unless that is allowed.

    Raises:
        SystemExit: with status 2, if something cannot be read, merged or written; the reason is on standard error.
    """
    command, options = _parsed(arguments)
    return _cure(command, options) if "apply" in options else _merge(command, options)


def _merge(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    outputs = _outputs(command, options)
    try:
        reports = [reading.read(path) for path in options.reports]
        audits, shortfall = merge.merge(reports), merge.shortfall(reports)
    except reading.ReportError as error:
        command.error(str(error))
    for form, path in outputs:
        try:
            formats.write(form, path, audits, shortfall=shortfall)
        except OSError as error:
            what = f"the merged report cannot be written: {form}:{path}: {error}"
            command.error(f"{what}; name a file in a folder that can be written to")
    lines = [*summary(audits, shortfall=shortfall, verbose=options.verbose)]
    if options.github:
        lines += github.commands(audits, shortfall)
        try:
            github.append_summary(os.environ.get("GITHUB_STEP_SUMMARY", os.devnull), audits, "", shortfall)
        except OSError as error:
            lines.append(f"the job summary cannot be written: {error}; see GITHUB_STEP_SUMMARY, or leave out --github")
    has_failed = extent(audits, shortfall).is_early or any(row.is_error for row in unaudited(audits))
    status = 1 if has_failed or any(audit.failures for audit in audits) else 0
    if not (status or options.allow_none or any(audit.audited or audit.is_untouched for audit in audits)):
        lines.append("nothing was audited (exit status 5; --allow-none if that is meant)")
        status = 5
    try:
        _print(lines)
    except OSError as error:
        written = ", ".join(path for _, path in outputs)
        where = f"the merged report is in {written}" if written else "no report was written, as none was asked for"
        command.error(f"the summary cannot be printed: {error}; {where}")
    return status


def _cure(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    try:
        from pytest_maskcheck.patches.command import CureError, cure
    except ImportError:
        command.error("it edits code with LibCST, which is not installed: install pytest-maskcheck[cure]")
    try:
        return cure(
            options.report, options.arguments, lambda line: _print([line]), apply=options.apply, save=options.save
        )
    except CureError as error:
        command.error(str(error))
    except OSError as error:
        command.error(f"the project cannot be copied, or the output cannot be printed: {error}")


def _parsed(arguments: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Return the command's parser, which prints errors, and the parsed options."""
    parser = argparse.ArgumentParser(prog="python -m pytest_maskcheck", description="Works with reports of audits.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    both = (_merge_parser(commands), _cure_parser(commands))
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    end = words.index("--") if "--" in words else len(words)  # what follows is for pytest
    options = parser.parse_args(words[:end], argparse.Namespace(arguments=words[end + 1 :]))
    return both["apply" in options], options


def _cure_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        "cure",
        usage="%(prog)s [-h] [--apply] [--save] REPORT [-- ARGUMENT FOR PYTEST ...]",
        help="try edits for the defects of a report",
        description="Try edits for the defects of a JSON report of the project in the working directory, on a copy of it, and print "
        "as a diff those after which the tests are audited without the defect. Exits with 1 if there is a defect without one.",
    )
    command.add_argument("report", metavar="REPORT", help="a file that --maskcheck-report=json:REPORT wrote")
    command.add_argument("--apply", action="store_true", help="write the edits into the project, too")
    command.add_argument(
        "--save", action="store_true", help="write the edits into the report, too, so that `merge --report` shows them"
    )
    return command


def _merge_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        "merge",
        help="merge several JSON reports into one",
        description="Merge the JSON reports of the shards of a session, or of sessions with different tests, into one "
        "report, and print its summary; without -o and --report, only that. Exits with 1 if a defect makes a test fail or a session ended early, and with 5 if nothing was audited.",
    )
    command.add_argument(
        "reports", nargs="+", metavar="REPORT", help="a file that --maskcheck-report=json:REPORT wrote"
    )
    command.add_argument("-o", "--output", metavar="FILE", help="write the merged report to FILE, as JSON")
    command.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FORMAT:PATH",
        help=f"write the merged report to PATH; FORMAT is {' or '.join(formats.FORMATS)}; may be given several times",
    )
    command.add_argument(
        "-v", "--verbose", action="store_true", help="show all lines of the summary, as pytest -v does"
    )
    command.add_argument(
        "--github", action="store_true", help="annotate the lines to cure and write a job summary, for GitHub Actions"
    )
    command.add_argument("--allow-none", action="store_true", help="exit with 0 even if nothing was audited")
    return command


def _outputs(command: argparse.ArgumentParser, options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the format and the path of each report to write."""
    first, *_ = formats.FORMATS  # JSON, the format of --output
    chosen = [] if options.output is None else [(first, options.output)]
    for text in options.report:
        try:
            chosen.append(formats.parse(text))
        except ValueError as error:
            command.error(f"--report is {quoted(text)}; {error}")
    if both := written_twice((f"{form}:{path}", path) for form, path in chosen):
        command.error(f"{both} name the same file: give each a file of its own")
    return chosen


def _print(lines: list[str]) -> None:
    """Print lines; a character that standard output cannot encode is escaped.

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
        # The interpreter flushes the buffer again as it ends: that would fail, too, with a traceback and another exit status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


def run() -> int:
    """Run this process's command; return 3 if maskcheck itself fails, which must not look like a defect of the tests."""
    try:
        return main()
    except Exception:  # noqa: BLE001  (whatever it is)
        traceback.print_exc()
        print("maskcheck itself failed; please report this", file=sys.stderr)  # noqa: T201  (a command)
        return 3


if __name__ == "__main__":
    sys.exit(run())
