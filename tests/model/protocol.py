"""The protocol of runs as a small state space, explored breadth-first: every order of every request of two processes at a time.

One organisation. A process is one call of a use case, one request to the bucket a step; it may die between any two, which is
also what a lost answer comes to. Processes are started in any order and any number of times (events twice, late or never),
within a budget. A person may cancel an open run. The customer uploads new content, or the first again, or restores the first
version; locks expire at any moment.

The known gap: a version that is restored, date and all, in the instant between a call's look, which missed it, and its
done.json. The run is then called superseded though a second call of it may publish. The model leaves that instant out.

What is left out, and left to the simulation of the real code: queues, machines and their tries, time.
"""

from collections.abc import Iterator

from tests.model.protocol_state import (
    Broken,
    Latest,
    Process,
    Run,
    State,
    Version,
    abort,
    expected_output,
    is_superseding,
    output,
    release_lock,
    take_lock,
    with_process,
    with_run,
    with_upload,
    write_latest,
)

MAX_ROUNDS = 3
MUTATIONS = (
    "publishes without If-Match",
    "settles without aborting",
    "done.json before latest.json",
    "closes the marker first",
    "stops where done.json stands",
    "supersedes after one look",
    "supersedes without writing latest.json",
    "forgets to look for done.json",
    "does not know its own output",
    "does not record failures",
    "leaves the intents of others",
    "writes over an unfinished record",
    "no second look after the lock",
    "a cancellation ends the run itself",
)
"""Rules that a protocol may break, to show that the search would see it."""


class Protocol:
    """The transitions. mutation: a rule that this protocol breaks, by one of MUTATIONS."""

    def __init__(self, mutation: str = "") -> None:
        assert mutation in {"", *MUTATIONS}
        self.mutation = mutation

    def successors(self, state: State) -> Iterator[State]:
        """Every state that one request, one start, one death or one deed of the customer leads to."""
        yield from self._surroundings(state)
        for slot, process in enumerate(state.processes):
            if process is None:
                yield from self._starts(state, slot)
                yield from self._cancellations(state, slot)
            else:
                yield from self.step(state, slot, process)
                yield with_process(state, slot, None)

    def _surroundings(self, state: State) -> Iterator[State]:
        if state.customer:
            number = state.writes + 1
            restored = set() if any(map(is_superseding, state.processes)) else {("A", 1)}
            for version in ({("A", number), ("ABCD"[state.writes % 4], number)} | restored) - {state.source}:
                yield state._replace(source=version, writes=number, customer=state.customer - 1)
        for number, run in enumerate(state.runs):
            if run.planned and run.result is None and run.done is None:
                for result in ("failure",) if run.rejected else ("output", "unchanged", "failure"):
                    yield with_run(state, number, result=result)

    def _starts(self, state: State, slot: int) -> Iterator[State]:
        if not state.starts or slot != state.processes.index(None):
            return
        fewer = state._replace(starts=state.starts - 1)
        yield with_process(fewer, slot, Process("plan: source", -1))
        for number, run in enumerate(state.runs):
            if run.result is not None and (run.marker or run.done is None):
                yield with_process(fewer, slot, Process("finish", number))
            if run.marker and not run.planned and run.done is None:
                yield with_process(fewer, slot, Process("plan: before", number))
            if run.marker and run.done is not None and run.result is None:
                yield with_process(fewer, slot, Process("finish", number))
        if state.latest.intent is not None:
            yield with_process(fewer, slot, Process("watch", -1))

    def _cancellations(self, state: State, slot: int) -> Iterator[State]:
        fewer = state._replace(cancels=state.cancels - 1)
        for number, run in enumerate(state.runs if state.cancels else ()):
            if run.marker:
                yield with_process(fewer, slot, Process("cancel", number))

    def step(self, state: State, slot: int, process: Process) -> Iterator[State]:
        """The next request of one process, with everything that it may meet."""
        name = process.at.split(":", 1)[0]
        yield from getattr(self, f"_{name}")(state, slot, process)

    def _plan(self, state: State, slot: int, p: Process) -> Iterator[State]:
        match p.at:
            case "plan: source":
                yield with_process(state, slot, p._replace(at="plan: latest", source=state.source))
            case "plan: latest":
                yield from self._choose_run(state, slot, p)
            case "plan: before":
                yield with_process(state, slot, p._replace(at="plan: look", seen=state.latest))
            case "plan: look":
                run = state.runs[p.run]
                assert p.seen is not None
                stands = state.source == run.source and (run.timer or not self.handled(state, p.seen, state.source))
                yield with_process(state, slot, p._replace(at="plan: lock" if stands else "plan: supersede"))
            case "plan: supersede":
                if not state.runs[p.run].planned and state.latest == p.seen:
                    yield with_process(state, slot, p._replace(at="finish: done", ending="superseded"))
                else:
                    yield with_process(state, slot, None)
            case _:
                yield from self._plan_locked(state, slot, p, state.runs[p.run])

    def _plan_locked(self, state: State, slot: int, p: Process, run: Run) -> Iterator[State]:
        match p.at:
            case "plan: lock":
                for locked in take_lock(state, p.run):
                    yield with_process(locked, slot, p._replace(at="plan: look again", writes=state.writes))
                yield with_process(state, slot, None)
            case "plan: look again":
                same = state.source == run.source and state.latest == p.seen and run.done is None
                if same or self.mutation == "no second look after the lock":
                    yield with_process(state, slot, p._replace(at="plan: create"))
                else:
                    yield with_process(release_lock(state, p.run), slot, None)
            case "plan: create":
                if state.source != run.source and state.writes == p.writes and not run.planned:
                    raise Broken("a run is planned, though its version was gone when the lock was taken")
                yield with_process(with_run(state, p.run, planned=True), slot, None)

    def _choose_run(self, state: State, slot: int, p: Process) -> Iterator[State]:
        """The run of the version that was read, and its marker."""
        assert p.source is not None
        handled = self.handled(state, state.latest, p.source)
        if handled and (not state.timers or p.source[0] == expected_output(state, state.latest)):
            yield with_process(state, slot, None)
            return
        if not handled and ">" in p.source[0] and p.source == state.source:
            raise Broken("our own output starts a run")
        alike = [n for n, run in enumerate(state.runs) if run.source == p.source and run.timer == handled]
        number = next((n for n in alike if state.runs[n].done is None), None)
        if (
            number is None
            and alike
            and (handled or state.source != p.source or self.handled(state, state.latest, p.source))
        ):
            yield with_process(state, slot, None)
            return
        if number is None:
            number = len(state.runs)
            runs = (*state.runs, Run(p.source, timer=handled, marker=True))
            state = state._replace(runs=runs, timers=state.timers - handled)
        after = None if state.runs[number].planned else p._replace(at="plan: before", run=number, source=None)
        yield with_process(with_run(state, number, marker=True), slot, after)

    def handled(self, state: State, latest: Latest, source: Version) -> bool:
        if self.mutation == "does not know its own output":
            return latest.handled == source
        return source[0] in {latest.published, expected_output(state, latest)} or latest.handled == source

    def _finish(self, state: State, slot: int, p: Process) -> Iterator[State]:
        run = state.runs[p.run]
        match p.at:
            case "finish":
                yield with_process(state, slot, self._begin(run, p))
            case "finish: lock":
                for locked in take_lock(state, p.run):
                    yield with_process(locked, slot, p._replace(at="finish: latest"))
                yield with_process(state, slot, None)
            case "finish: latest":
                yield with_process(state, slot, self._decide(state, p))
            case "finish: done" | "finish: record late":
                yield from self._finish_done(state, slot, p, run)
            case "finish: look" | "finish: replaced?" | "finish: fence":
                yield from self._look(state, slot, p, run)
            case _:
                yield from self._publish(state, slot, p, run)

    def _finish_done(self, state: State, slot: int, p: Process, run: Run) -> Iterator[State]:
        match p.at:
            case "finish: done":
                ended = state if run.done is not None else self._end(state, p)
                if self.mutation == "closes the marker first" and run.marker:
                    yield with_process(with_run(state, p.run, marker=False), slot, p)
                    return
                yield with_process(ended, slot, p._replace(at="finish: record late" if p.back == "late" else "tail"))
            case "finish: record late":
                yield with_process(write_latest(state, p, self._record(run, p)) or state, slot, p._replace(at="tail"))

    def _begin(self, run: Run, p: Process) -> Process | None:
        """What a call that was told to finish a run finds to do."""
        if run.done is not None:
            again = run.marker and self.mutation != "stops where done.json stands"
            return p._replace(at="tail") if again else None
        return p._replace(at="finish: lock") if run.planned and run.result is not None else None

    def _decide(self, state: State, p: Process) -> Process | None:
        """What latest.json, just read, asks for."""
        seen, run = state.latest, state.runs[p.run]
        p = p._replace(seen=seen, rounds=p.rounds + 1)
        if p.rounds > MAX_ROUNDS:
            return None
        if seen.run == p.run:
            return p._replace(at="finish: done", ending=seen.status or "")
        if seen.intent is not None and (seen.intent[0] != p.run or run.result != "output"):
            if self.mutation == "leaves the intents of others":
                return None
            return p._replace(at="settle", upload=seen.intent[1], back="finish: latest")
        if seen.intent is not None:
            return p._replace(at="finish: complete", upload=seen.intent[1])
        return p._replace(at="finish: look")

    def _end(self, state: State, p: Process) -> State:
        run = state.runs[p.run]
        if p.ending == "published" and run.result == "output" and not run.published:
            raise Broken("done.json says published, and it never was")
        if p.ending != "published" and state.source[0] == output(p.run, run.source) and run.published:
            raise Broken(f"a schedule stands published, and its run ends as {p.ending}")
        return with_run(state, p.run, done=p.ending)

    def _look(self, state: State, slot: int, p: Process, run: Run) -> Iterator[State]:
        careless = self.mutation == "supersedes after one look"
        match p.at:
            case "finish: look":
                yield with_process(
                    state, slot, p._replace(at="finish: ended?" if state.source == run.source else "finish: replaced?")
                )
            case "finish: replaced?":
                same = careless or state.latest == p.seen
                ending = "failed" if run.result == "failure" else "superseded"
                yield with_process(
                    state, slot, p._replace(at="finish: fence" if same else "finish: latest", ending=ending)
                )
            case "finish: fence":
                if careless or self.mutation == "supersedes without writing latest.json":
                    yield with_process(state, slot, p._replace(at="finish: done"))
                    return
                assert p.seen is not None
                fenced = write_latest(state, p, p.seen)
                yield with_process(fenced or state, slot, p._replace(at="finish: done") if fenced else None)

    def _publish(self, state: State, slot: int, p: Process, run: Run) -> Iterator[State]:
        match p.at:
            case "finish: ended?":
                ended = run.done is not None and self.mutation != "forgets to look for done.json"
                after = "finish: stage" if run.result == "output" else "finish: previous"
                ending = "failed" if run.result == "failure" else "published"
                yield with_process(state, slot, None if ended else p._replace(at=after, ending=ending))
            case "finish: stage":
                staged = state._replace(uploads=(*state.uploads, (p.run, "open")))
                yield with_process(staged, slot, p._replace(at="finish: intent", upload=len(state.uploads)))
            case "finish: intent":
                assert p.seen is not None
                written = write_latest(state, p, p.seen._replace(intent=(p.run, p.upload)))
                yield with_process(
                    written or state, slot, p._replace(at="finish: latest" if written else "finish: abort")
                )
            case "finish: abort":
                yield with_process(abort(state, p.upload), slot, p._replace(at="finish: latest"))
            case "finish: complete":
                yield from self._complete(state, slot, p, run)
            case "finish: previous":
                yield with_process(self._end_previous(state, p), slot, p._replace(at="finish: record"))
            case "finish: record":
                yield from self._record_latest(state, slot, p, run)

    def _complete(self, state: State, slot: int, p: Process, run: Run) -> Iterator[State]:
        kind = state.uploads[p.upload][1]
        published = p._replace(at="finish: previous", ending="published")
        if kind == "completed":
            yield with_process(state, slot, published)
        if kind == "open" and (state.source[0] == run.source[0] or self.mutation == "publishes without If-Match"):
            if state.source[0] != run.source[0]:
                raise Broken("published over a version that it was not computed from")
            new = state._replace(
                source=(output(p.run, run.source), state.writes + 1),
                writes=state.writes + 1,
                uploads=with_upload(state, p.upload, "completed"),
            )
            if run.done not in {None, "published"}:
                raise Broken(f"published for a run that has ended as {run.done}")
            yield with_process(with_run(new, p.run, published=True), slot, published)
        else:
            # Refused, aborted, or completed so long ago that nobody remembers.
            yield with_process(state, slot, p._replace(at="settle", back="finish: own"))

    def _end_previous(self, state: State, p: Process) -> State:
        """The run whose ending latest.json holds gets its done.json before that is written over."""
        assert p.seen is not None
        number = p.seen.run
        if number is None or state.runs[number].done is not None or self.mutation == "writes over an unfinished record":
            return state
        return with_run(state, number, done=p.seen.status)

    def _record_latest(self, state: State, slot: int, p: Process, run: Run) -> Iterator[State]:
        if self.mutation == "done.json before latest.json" and p.ending == "published":
            yield with_process(state, slot, p._replace(at="finish: done", back="late"))
            return
        if self.mutation == "does not record failures" and p.ending == "failed":
            yield with_process(state, slot, p._replace(at="finish: done"))
            return
        written = write_latest(state, p, self._record(run, p))
        yield with_process(written or state, slot, p._replace(at="finish: done") if written else None)

    def _record(self, run: Run, p: Process) -> Latest:
        assert p.seen is not None
        if p.ending == "failed":
            return Latest(0, run.source, p.run, "failed", p.seen.published)
        content = output(p.run, run.source) if run.result == "output" else run.source[0]
        return Latest(0, run.source, p.run, "published", content)

    def _settle(self, state: State, slot: int, p: Process) -> Iterator[State]:
        """The end of an intent. back: "finish: own" when it is the process's own."""
        number = state.uploads[p.upload][0]
        run = state.runs[number]
        match p.at:
            case "settle":
                aborted = state if self.mutation == "settles without aborting" else abort(state, p.upload)
                yield with_process(aborted, slot, p._replace(at="settle: look"))
            case "settle: look":
                yield with_process(
                    state, slot, _after_settling(p, was_published=state.source[0] == output(number, run.source))
                )
            case "settle: done":
                ended = state if run.done is not None else with_run(state, number, done="published")
                yield with_process(ended, slot, p._replace(at="settle: previous"))
            case "settle: previous":
                yield with_process(self._end_previous(state, p), slot, p._replace(at="settle: latest"))
            case "settle: latest":
                record = Latest(0, run.source, number, "published", output(number, run.source))
                yield with_process(write_latest(state, p, record) or state, slot, _back(p))
            case "settle: drop":
                assert p.seen is not None
                yield with_process(write_latest(state, p, p.seen._replace(intent=None)) or state, slot, _back(p))

    def _watch(self, state: State, slot: int, p: Process) -> Iterator[State]:
        intent = state.latest.intent
        left = intent is not None and not state.runs[intent[0]].marker and state.runs[intent[0]].done is not None
        if intent is None or not left:
            yield with_process(state, slot, None)
        else:
            yield with_process(
                state, slot, p._replace(at="settle", seen=state.latest, upload=intent[1], back="watch: end")
            )

    def _cancel(self, state: State, slot: int, p: Process) -> Iterator[State]:
        """The command and, when it was in time, the call of finish_run that goes by cancel.json."""
        run = state.runs[p.run]
        match p.at:
            case "cancel":
                decided = run.done is not None or run.result is not None
                yield with_process(state, slot, None if decided else p._replace(at="cancel: plan"))
            case "cancel: plan":
                planned = state if run.planned else with_run(state, p.run, planned=True, rejected=True)
                yield with_process(planned, slot, p._replace(at="cancel: result"))
            case "cancel: result":
                if self.mutation == "a cancellation ends the run itself":
                    ended = with_run(state, p.run, done=run.done or "failed")
                else:
                    ended = with_run(state, p.run, result=run.result or "failure")
                yield with_process(ended, slot, None)

    def _tail(self, state: State, slot: int, p: Process) -> Iterator[State]:
        if p.at == "tail":
            yield with_process(release_lock(state, p.run), slot, p._replace(at="tail: marker"))
        else:
            yield with_process(with_run(state, p.run, marker=False), slot, None)


def _after_settling(p: Process, *, was_published: bool) -> Process:
    if not was_published:
        return p._replace(at="settle: drop")
    if p.back == "finish: own":
        return p._replace(at="finish: previous", ending="published", back="")
    return p._replace(at="settle: done")


def _back(p: Process) -> Process | None:
    if p.back == "watch: end":
        return None
    return p._replace(at="finish: latest", back="", upload=-1)
