"""A server made of the options and files of a command line. Whatever is wrong with them is Unusable.

This module loads everything that sessions need. `serve` loads it late: see there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from mockserver.audio.asr import AUTO, OFF
from mockserver.cli.watch import Reload
from mockserver.documents.problems import DocumentError
from mockserver.faults import files as fault_files
from mockserver.faults.fault_set import FaultSet
from mockserver.faults.files import FaultError
from mockserver.responders import packaged
from mockserver.responders.scenario import Scenario, ScenarioError
from mockserver.server import accounts_file
from mockserver.server.app import Server
from mockserver.server.fleet import COUNTED, counted_by_each
from mockserver.server.options import Options
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay
from mockserver.server.shelf import Shelf
from mockserver.server.state.port import State
from replay.cassette.file import BadCassette
from replay.cli.usage import Unusable
from replay.outlets import clean


def assembled(
    options: Options,
    *,
    scenario: Path | None,
    shelf: Shelf | None,
    verbatim: bool,
    allow: Iterable[str],
    faults: Path | None,
    accounts: Path | None,
    state: str | None,
    counts: tuple[Path, int] | None,
    first: bool,
) -> Server:
    """The server. `shelf`: the recordings to play. `state`: the address of the store that it shares with others.
    `counts`: the folder of the workers' counts, and the number of this worker. `first`: the command begins, so that a
    store has to answer; a worker that replaces another waits for it. Raises Unusable."""
    try:
        if accounts is not None:
            options = replace(options, accounts=accounts_file.load(accounts))
        server = _server(options)
        if state is not None:
            server.service.state = _shared(state, server, first)
        if counts is not None:
            from mockserver.server.worker_counts import WorkerCounts  # prometheus-client costs 30 ms

            server.service.counts = WorkerCounts(server.service, *counts)
        if scenario is not None:
            server.service.play(Scenario.load(scenario))
        if shelf is not None:
            server.service.play(VerbatimReplay(shelf, allow=allow) if verbatim else AdaptiveReplay(shelf))
        if faults is not None:
            file = fault_files.load(faults)
            if state is not None and any(map(counted_by_each, file.faults)):
                raise Unusable(f"{faults}: {COUNTED}")
            server.service.set_faults(file.faults, file.seed)
    except (DocumentError, ScenarioError, FaultError, ImportError, BadCassette) as problem:
        raise Unusable(str(problem)) from problem
    named = options.transcriber not in (AUTO, OFF)
    if options.voice != "auto" or options.vad != "energy" or named:
        try:
            _ = server.service.factory.equipment.voice, server.service.factory.equipment.engine
            if named:
                server.service.factory.equipment.load_transcriber()
        except (ImportError, RuntimeError, FileNotFoundError) as missing:
            raise Unusable(str(missing)) from missing
    return server


def reloads(server: Server, scenario: Path | None, faults: Path | None) -> dict[Path, Reload]:
    """What reads a changed scenario or fault file again, by its path, for new connections."""
    service = server.service

    def read_scenario() -> Callable[[], None]:
        assert scenario is not None
        content = Scenario.load(scenario)

        def apply() -> None:
            service.play(content)
            service.at_start = replace(service.at_start, content=content)

        return apply

    def read_faults() -> Callable[[], None]:
        assert faults is not None
        file = fault_files.load(faults)
        if service.state.shared != "no" and any(map(counted_by_each, file.faults)):
            raise FaultError(COUNTED)

        def apply() -> None:
            service.faults = FaultSet(file.faults, file.seed or service.faults.seed)
            service.at_start = replace(service.at_start, faults=file.faults, faults_seed=service.faults.seed)

        return apply

    found: dict[Path, Reload] = {}
    if scenario is not None:
        found[packaged.find(scenario)] = read_scenario
    if faults is not None:
        found[faults] = read_faults
    return found


def _shared(url: str, server: Server, first: bool) -> State:
    from mockserver.server.state import store  # an extra, which was looked for

    accounts, manual = server.service.accounts, server.service.options.clock_rate == 0
    try:
        state = store.StoreState(url, accounts, by_store_clock=not manual)
    except ValueError as problem:
        raise Unusable("--state: expected an address such as redis://127.0.0.1:6379/0") from problem
    if first and (why := store.refusal_of(url)) is not None:
        raise Unusable(f"--state: the store does not answer: {clean(why)}")
    return state


def _server(options: Options) -> Server:
    try:
        return Server(options)
    except OSError as problem:
        raise Unusable(f"{options.record}: {problem.strerror}; name a folder that can be written to") from problem
