"""The command line: `hubbub run module:hub`, in uvicorn's spelling, `hubbub new` and `hubbub bench`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubbub import Hub, Limits, __version__, _logs, _loops, _projects, _reload, _signals
from hubbub._asgi import check_app
from hubbub._listen import HELP, ListenOptions
from hubbub.bench import arguments as bench_arguments
from hubbub.limits import LIMITS, Limit

__all__ = ["main"]

#: Other spellings of some limits: those of uvicorn.
ALIASES = {
    "max_sessions": "--limit-concurrency",
    "max_message_bytes": "--ws-max-size",
    "ping_interval": "--ws-ping-interval",
    "ping_timeout": "--ws-ping-timeout",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the arguments say; gives the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        work: Callable[[argparse.Namespace, list[str]], int] = options.work
        return work(options, arguments)
    except _Failure as failure:
        print(f"hubbub: error: {failure}", file=sys.stderr)
        return 1


class _Failure(Exception):
    """Something that the user can mend, in words for the user."""


# ---- hubbub run


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    _logs.fill_streams()
    _logs.set_up(options.log_level)
    if options.reload:
        again = [argument for argument in arguments if argument != "--reload"]
        folders = [Path(folder) for folder in options.reload_dir or [options.app_dir]]
        for folder in folders:
            if not folder.is_dir():
                raise _Failure(f"--reload-dir {folder}: there is no such folder")
        return _reload.supervise(
            [sys.executable, "-m", "hubbub", *again], folders, options.shutdown_timeout + 5.0, options.fd
        )
    if options.loop in ("uvloop", "trio") and importlib.util.find_spec(options.loop) is None:
        raise _Failure(f"--loop {options.loop} needs {options.loop}: pip install 'hubbub[{options.loop}]'")
    _signals.end_by_default()
    sys.path.insert(0, str(Path(options.app_dir).resolve()))
    hub = _find(options.hub)
    given = {name: value for name, value in vars(options).items() if name in LIMITS and value is not _NOT_GIVEN}
    try:
        hub.limits = replace(hub.limits, **given)
    except (TypeError, ValueError) as error:
        raise _Failure(str(error)) from None
    _serve(hub, options)
    return 0


def _serve(hub: Hub, options: argparse.Namespace) -> None:
    try:
        hub.run(loop=options.loop, **_listen_arguments(options))
    except OSError as error:
        certificate = error.filename is not None
        raise _Failure(str(error) if certificate else error.strerror or str(error)) from error
    except ValueError as error:
        raise _Failure(str(error)) from error


def _listen_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `Hub.run` that were given, and defaults."""
    given = {name: getattr(options, name) for name in HELP}
    named = {name: (certificate, key) for name, certificate, key in options.ssl_certificates or ()}
    given["ssl_certificates"] = named
    if options.ssl_keyfile_password is None and (options.ssl_certfile or named):
        given["ssl_keyfile_password"] = os.environ.get("HUBBUB_SSL_KEYFILE_PASSWORD")
    return {name: value for name, value in given.items() if value is not None}


def _find(name: str) -> Hub:
    """The hub that `module:attribute` names."""
    module_name, colon, attribute = name.partition(":")
    if not module_name or not colon or not attribute:
        raise _Failure(f'which hub? "module:attribute" is wanted, such as "app:hub", not {name!r}')
    found: Any = _import(module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise _Failure(f'module "{module_name}" has no attribute "{attribute}"') from None
    # A Socket.IO server has its hub.
    found = found if isinstance(found, Hub) else getattr(found, "hub", found)
    if not isinstance(found, Hub):
        raise _Failure(f'"{name}" is no hubbub.Hub but {found!r}{_instead(found, attribute)}')
    return found


def _instead(found: Any, attribute: str) -> str:
    """How a hub is made of something else, if it is something that a hub can serve."""
    if isinstance(found, type) and issubclass(found, Hub):
        return f": name an instance, hub = {found.__name__}()"
    try:
        check_app(found)
    except TypeError:
        return ""
    return f". A hub serves an ASGI application: hub = Hub(app={attribute}), and name that"


def _import(name: str) -> Any:
    token = _loops.importing.set(name)
    try:
        return importlib.import_module(name)
    except _loops.ImportRuns as error:
        raise _Failure(str(error)) from None
    except ModuleNotFoundError as error:
        # The module itself, or a package that it is in. One that it imports is an error of its own, told below.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            folder = sys.path[0]
            raise _Failure(f'there is no module "{name}" in {folder} (--app-dir sets the folder)') from None
        _raise_with_traceback(name, error)
    except Exception as error:
        _raise_with_traceback(name, error)
    finally:
        _loops.importing.reset(token)


def _raise_with_traceback(name: str, error: Exception) -> None:
    """Shows the user's part of the traceback: not our own, and not the import machinery's."""
    frames = error.__traceback__
    while frames is not None and _is_machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    raise _Failure(f'importing "{name}" failed, see above') from None


def _is_machinery(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


# ---- hubbub new


def _new(options: argparse.Namespace, arguments: list[str]) -> int:
    folder = Path(options.folder or options.project)
    try:
        _projects.write(options.project, folder)
    except OSError as error:
        raise _Failure(str(error)) from None
    print(f"{folder} is there. Next:\n")
    print(f"    cd {shlex.quote(str(folder))}\n    pip install -r requirements.txt\n    python app.py")
    return 0


# ---- hubbub bench


def _bench(options: argparse.Namespace, arguments: list[str]) -> int:
    # Nobody who serves a hub shall load what this needs.
    from hubbub.bench import command

    return command.work(options, arguments)


# ---- options

#: Stands for an option that was not given, where `None` is a value.
_NOT_GIVEN: Any = object()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hubbub", description="A realtime server whose network side is Rust.")
    parser.add_argument("--version", action="version", version=f"hubbub {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_run(commands)
    _add_new(commands)
    bench_arguments.add(commands, _bench)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run", help="serve a hub", description="Serves a hub until Ctrl-C or SIGTERM.", allow_abbrev=False
    )
    run.set_defaults(work=_run)
    run.add_argument("hub", metavar="MODULE:ATTRIBUTE", help='where the hub is, such as "app:hub"')
    _add_address(run.add_argument_group("where to listen"))
    _add_tls(run.add_argument_group("TLS", "Files in PEM format. SIGHUP reads them again."))
    _add_proxies(run.add_argument_group("proxies before it"))
    _add_running(run.add_argument_group("how to run"))
    _add_reloading(run.add_argument_group("while developing"))
    _add_limits(run.add_argument_group("limits", "Where None is allowed, 'none' switches the limit off."))


def _add_new(commands: Any) -> None:
    new = commands.add_parser(
        "new",
        help="write a project to start from",
        description="Writes a project to start from into a folder, and says what to do next. Nothing is overwritten.",
    )
    new.set_defaults(work=_new)
    kinds = "; ".join(f"{name}: {what}" for name, what in _projects.PROJECTS.items())
    new.add_argument("project", type=_project, metavar="PROJECT", help=kinds)
    new.add_argument("folder", nargs="?", metavar="FOLDER", help="a new or empty folder (default: the project's name)")


def _add_option(group: Any, name: str, *spellings: str, help: str | None = None, **how: Any) -> None:
    """Adds an option of `ListenOptions` with its default and its help."""
    default = getattr(ListenOptions, name)
    text = help or summary(HELP[name])
    if "(default" not in text and default not in (None, False, ()):
        text += f" (default: {'yes' if default is True else default})"
    how.setdefault("default", None if how.get("action") == "append" else default)
    group.add_argument(*(spellings or [f"--{name.replace('_', '-')}"]), dest=name, help=text.replace("%", "%%"), **how)


def _add_address(group: Any) -> None:
    _add_option(group, "host")
    _add_option(group, "port", type=int)
    _add_option(group, "uds", metavar="PATH")
    mode = "permissions of the unix socket, such as 660 (default: by umask)"
    _add_option(group, "uds_mode", metavar="MODE", type=_mode, help=mode)
    _add_option(group, "uds_group", metavar="GROUP")
    _add_option(group, "fd", metavar="NUMBER", type=int)
    _add_option(group, "backlog", metavar="N", type=int)
    _add_option(group, "reuse_port", action="store_true")


def _add_tls(group: Any) -> None:
    _add_option(group, "ssl_certfile", metavar="PATH")
    _add_option(group, "ssl_keyfile", metavar="PATH")
    password = (
        "passphrase of the private keys that are encrypted; prefer $HUBBUB_SSL_KEYFILE_PASSWORD, which is not visible "
        "in `ps`"
    )
    _add_option(group, "ssl_keyfile_password", metavar="PASSWORD", help=password)
    _add_option(group, "ssl_ca_certs", metavar="PATH")
    _add_option(group, "ssl_cert_reqs", type=int, choices=(0, 1, 2))
    _add_option(
        group,
        "ssl_certificates",
        "--ssl-certificate",
        action="append",
        nargs=3,
        metavar=("NAME", "CERTFILE", "KEYFILE"),
        help="further certificate for one host name or *.name (SNI); may be repeated",
    )


def _add_proxies(group: Any) -> None:
    proxy = "proxy whose word about the client counts: an address, a network, 'unix' or '*'; may be repeated"
    _add_option(group, "trusted_proxies", "--trusted-proxy", action="append", metavar="ADDRESS", help=proxy)
    _add_option(group, "proxy_protocol", action="store_true")


def _add_running(group: Any) -> None:
    _add_option(group, "io_threads", metavar="N", type=int)
    group.add_argument("--loop", default="auto", choices=_loops.LOOPS, help="the event loop (default: %(default)s)")
    timeout = ("--shutdown-timeout", "--timeout-graceful-shutdown")
    _add_option(group, "shutdown_timeout", *timeout, metavar="SECONDS", type=_seconds)
    group.add_argument(
        "--log-level", default="info", type=str.lower, choices=_logs.LEVELS, help="(default: %(default)s)"
    )
    _add_option(group, "access_log", action=argparse.BooleanOptionalAction)


def _add_reloading(group: Any) -> None:
    group.add_argument("--reload", action="store_true", help="restart when a .py file changes")
    group.add_argument(
        "--reload-dir", action="append", metavar="PATH", help="folder to watch, may be repeated (default: --app-dir)"
    )
    group.add_argument("--app-dir", default=".", metavar="PATH", help="where modules are looked for (default: here)")


def _add_limits(group: Any) -> None:
    for name, limit in LIMITS.items():
        spellings = [f"--limit-{name.replace('_', '-')}"]
        if name in ALIASES:
            spellings.append(ALIASES[name])
        default = getattr(Limits, name)
        group.add_argument(
            *spellings,
            dest=name,
            default=_NOT_GIVEN,
            type=str if limit.unit is None else _number,
            metavar=_metavar(limit),
            help=f"{summary(limit.help)} (default: {'none' if default is None else default})".replace("%", "%%"),
        )


def summary(help: str) -> str:
    """The first sentence of a help text, without marks of code."""
    return help.partition(". ")[0].rstrip(".").replace("`", "")


def _metavar(limit: Limit) -> str:
    if limit.unit is None:
        return f"{{{','.join(limit.choices)}}}"
    return "NUMBER" if limit.unit == "count" else limit.unit.upper().replace(" ", "_")


def _project(text: str) -> str:
    if text not in _projects.PROJECTS:
        command = shlex.join(["hubbub", "new", next(iter(_projects.PROJECTS)), text])
        raise argparse.ArgumentTypeError(
            f"{text!r} is no project; there is {', '.join(_projects.PROJECTS)}. For a folder of that name: {command}"
        )
    return text


def _number(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


def _mode(text: str) -> int:
    return int(text, 8)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 1e9:
        raise ValueError(text)
    return seconds


_number.__name__ = "number"  # argparse says "invalid number value: 'x'"
_mode.__name__ = "mode"
_seconds.__name__ = "seconds"

if __name__ == "__main__":
    sys.exit(main())
