"""Flow control with the clock in hand: limits, circuits, pauses, and who gets room."""

import math
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stage import Service
from synth.generators.endpoint.flow import (
    FAILURES,
    START,
    Breaker,
    Failure,
    Lane,
    Limit,
    Line,
    Load,
    Pace,
    Slot,
    Waiter,
    backoff_s,
)
from synth.generators.endpoint.wire import engine_load, retry_after_s

PACE = Pace.of(Service())
BROKE = Failure("it broke")
BUSY = Failure("429", busy=True, congested=True, suspect=False)


def filled(most: int, size: float | None = None) -> Limit:
    limit = Limit(most)
    limit.size = limit.size if size is None else size
    limit.in_flight = int(limit.size)
    return limit


def answer_all(limit: Limit) -> None:
    """One round trip with as many requests under way as may be."""
    limit.in_flight = int(limit.size)
    for _ in range(limit.in_flight):
        limit.answered()
        limit.in_flight = max(limit.in_flight, int(limit.size))


def test_slow_start_doubles_with_every_round_trip() -> None:
    limit = Limit(64)
    sizes = []
    for _ in range(5):
        answer_all(limit)
        sizes.append(limit.size)
    assert sizes == [8, 16, 32, 64, 64]


def test_a_limit_that_nobody_uses_does_not_grow() -> None:
    limit = Limit(64)
    limit.in_flight = START - 1
    limit.answered()
    limit.measured(Load(START - 1, 0))
    assert limit.size == START


def test_slow_start_needs_no_answers_where_the_engine_says_that_it_has_room() -> None:
    limit = filled(64)
    for running in (4, 8):
        limit.measured(Load(running, 0))
        limit.in_flight = int(limit.size)
    assert limit.size == 16
    limit.measured(Load(16, 1))
    answer_all(limit)
    limit.measured(Load(16, 0))
    assert limit.size == 24


def test_after_a_refusal_a_limit_grows_by_one_each_round_trip() -> None:
    limit = filled(64, 32)
    limit.congested(sent_at=1, now=2)
    assert limit.size == 16
    answer_all(limit)
    assert limit.size == pytest.approx(17, abs=0.05)


def test_refusals_of_one_flight_halve_the_limit_once() -> None:
    limit = filled(64, 32)
    for sent_at in (1.0, 1.5, 2.0):
        limit.congested(sent_at, now=2)
    assert limit.size == 16
    limit.in_flight = 16
    limit.congested(sent_at=2.5, now=3)
    assert limit.size == 8


def test_what_was_under_way_is_halved_not_what_might_have_been() -> None:
    limit = filled(64, 32)
    limit.in_flight = 10
    limit.congested(sent_at=1, now=2)
    assert limit.size == 5


def test_an_engines_queue_brings_all_its_clients_down_to_what_it_runs() -> None:
    clients = [filled(64, size) for size in (40.0, 16.0, 8.0)]
    for limit in clients:
        limit.measured(Load(running=32, waiting=32))
    assert [limit.size for limit in clients] == [30, 12, 6]  # 48 together, of which half of 32 waits
    for limit in clients:
        limit.measured(Load(running=32, waiting=32))  # the same requests as before
    assert [limit.size for limit in clients] == [30, 12, 6]


@pytest.mark.parametrize(
    ("load", "size"),
    [(Load(16, 0), 24), (Load(16, 8), 16), (Load(16, 9), 16 * 24 / 25), (Load(0, 16), 16), (Load(7, 0), 16)],
    ids=["has room", "has what it needs", "has too much", "has not begun", "is not reached"],
)
def test_an_engine_that_tells_its_queue_is_grown_by_it_alone(load: Load, size: float) -> None:
    limit = filled(64, 32)
    limit.congested(sent_at=1, now=2)
    limit.in_flight = 16
    limit.measured(load)
    limit.in_flight = int(limit.size)
    limit.answered()
    assert limit.size == pytest.approx(size)


def test_an_engine_that_stops_telling_is_grown_by_answers_again() -> None:
    limit = filled(64, 32)
    limit.congested(sent_at=1, now=2)
    limit.measured(Load(16, 1))
    answer_all(limit)
    assert limit.size == 16
    limit.measured(None)
    answer_all(limit)
    assert limit.size > 16


@given(
    st.integers(1, 100),
    st.lists(
        st.one_of(
            st.just("answered"),
            st.just("congested"),
            st.just("fill"),
            st.builds(Load, st.integers(0, 99), st.integers(0, 99)),
        )
    ),
)
def test_a_limit_stays_in_its_bounds(most: int, events: list[str | Load]) -> None:
    limit = filled(most)
    for now, event in enumerate(events):
        match event:
            case Load():
                limit.measured(event)
            case "answered":
                limit.answered()
            case "congested":
                limit.congested(now - 0.5, now)
            case _:
                limit.in_flight = int(limit.size)
        assert 1 <= limit.size <= most


def opened(now: float = 0.0, first_s: float = 1.0, longest_s: float = 15.0) -> Breaker:
    breaker = Breaker(first_s, longest_s)
    for _ in range(FAILURES):
        breaker.failed(sent_at=now, now=now)
    return breaker


def test_a_circuit_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(1, 15)
    for _ in range(2):
        for _ in range(FAILURES - 1):
            breaker.failed(sent_at=0, now=0)
        assert breaker.allows(0)
        breaker.closed()
    assert not opened().allows(0.99)
    assert opened().allows(1)


def test_the_cool_off_doubles_up_to_a_bound_and_begins_anew_after_an_answer() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
        probe = breaker.sent()
        breaker.failed(now, now)
        breaker.ended(probe)
    assert waits == [1, 2, 4, 8, 15, 15]
    breaker.closed()
    for _ in range(FAILURES):
        breaker.failed(now + 1, now + 1)
    assert breaker.probe_at == now + 2


def test_failures_of_requests_sent_before_a_circuit_opened_do_not_prolong_it() -> None:
    breaker = opened(now=10)
    breaker.failed(sent_at=9, now=10.5)
    assert breaker.allows(11)


@given(st.lists(st.sampled_from(["send", "fail", "answer", "abandon", "wait"]), max_size=200), st.randoms())
def test_an_open_circuit_lets_exactly_one_probe_through(events: list[str], chance: st.randoms) -> None:  # type: ignore[valid-type]
    """Whatever becomes of which request, in whatever order."""
    breaker, now = Breaker(1, 4), 0.0
    under_way: list[tuple[float, int]] = []
    probes: set[int] = set()  # sent since the circuit was last closed
    for event in events:
        now += 0.01
        if event == "wait":
            now += 1
        elif event == "send" and breaker.allows(now):
            probe = breaker.sent()
            assert bool(probe) == breaker.is_open
            if probe:
                assert not probes
                probes = {probe}
            under_way.append((now, probe))
        elif event != "send" and under_way:
            sent_at, probe = under_way.pop(chance.randrange(len(under_way)))
            if event == "fail":
                breaker.failed(sent_at, now)
            if event == "answer":
                breaker.closed()
                probes = set()
            breaker.ended(probe)
            probes.discard(probe)
        assert not (probes and breaker.allows(now))


def test_a_lost_probe_leaves_room_for_another() -> None:
    breaker = opened()
    probe = breaker.sent()
    assert not breaker.allows(5)
    breaker.ended(probe)
    assert breaker.allows(5)


def test_the_end_of_an_old_probe_makes_no_room_beside_a_new_one() -> None:
    breaker = opened()
    old = breaker.sent()
    breaker.closed()  # by the answer to an earlier request
    for _ in range(FAILURES):
        breaker.failed(sent_at=5, now=5)
    new = breaker.sent()
    breaker.ended(old)
    assert not breaker.allows(9)
    breaker.ended(new)
    assert breaker.allows(9)


def lanes(*sizes: float) -> list[Lane]:
    made = [Lane(f"http://{name}/v1", 64, PACE) for name in "abcdefgh"[: len(sizes)]]
    for lane, size in zip(made, sizes, strict=True):
        lane.limit.size = size
    return made


class Queue:
    """A line, and what it granted to whom."""

    def __init__(self, *sizes: float) -> None:
        self.lanes = lanes(*sizes)
        self.line = Line(self.lanes)
        self.granted: list[tuple[int, str]] = []
        self.slots: list[Slot] = []

    def enter(self, place: int, **failed: int) -> Waiter:
        def granted(slot: Slot) -> None:
            self.granted.append((place, slot.lane.url[7]))
            self.slots.append(slot)

        waiter = Waiter(place, Counter({f"http://{name}/v1": count for name, count in failed.items()}), granted)
        self.line.enter(waiter)
        return waiter


def test_requests_go_where_the_largest_share_is_free() -> None:
    queue = Queue(4, 2)
    for place in range(8):
        queue.enter(place)
    queue.line.serve(0)
    assert queue.granted == [(0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "b"), (5, "a")]


def test_who_came_first_is_served_first_a_retry_before_newcomers() -> None:
    queue = Queue(1)
    for place in (2, 5, 3, 1):
        queue.enter(place)
    queue.line.serve(0)
    for slot in queue.slots:  # grows while it is gone through
        queue.lanes[0].abandoned(slot)
        queue.line.serve(0)
    assert [place for place, _ in queue.granted] == [1, 2, 3, 5]


def test_a_retry_waits_for_another_endpoint_and_nobody_waits_for_it() -> None:
    queue = Queue(2, 1)
    queue.lanes[1].take(0)
    queue.enter(0, a=1)
    queue.enter(1)
    queue.line.serve(0)
    assert queue.granted == [(1, "a")]
    queue.lanes[1].limit.in_flight = 0
    queue.line.serve(0)
    assert queue.granted == [(1, "a"), (0, "b")]


def test_a_retry_goes_back_where_there_is_nothing_else() -> None:
    queue = Queue(2, 2)
    for _ in range(FAILURES):
        queue.lanes[1].failed(queue.lanes[1].take(0), BROKE, now=0)
    queue.enter(0, a=3)
    queue.line.serve(0)
    assert queue.granted == [(0, "a")]


def test_who_left_gets_no_room() -> None:
    queue = Queue(4)
    queue.line.leave(queue.enter(0))
    queue.enter(1)
    queue.line.serve(0)
    assert queue.granted == [(1, "a")]


def test_a_pause_that_was_asked_for_is_kept_and_ends() -> None:
    queue = Queue(4)
    queue.lanes[0].failed(queue.lanes[0].take(0), Failure("429", busy=True, pause_s=3), now=1)
    queue.lanes[0].failed(queue.lanes[0].take(0), Failure("429", busy=True, pause_s=1), now=1.5)  # does not shorten it
    assert queue.line.serve(2) == math.inf
    queue.enter(0)
    assert queue.line.serve(2) == 4
    assert queue.granted == []
    queue.line.serve(4)
    assert queue.granted == [(0, "a")]


def test_one_waiting_request_probes_an_endpoint_and_its_answer_lets_all_others_in() -> None:
    queue = Queue(4)
    lane = queue.lanes[0]
    for _ in range(FAILURES):
        lane.failed(lane.take(0), BROKE, now=0)
    for place in range(3):
        queue.enter(place)
    assert queue.line.serve(0) == PACE.first_cool_off_s
    queue.line.serve(PACE.first_cool_off_s)
    assert queue.line.serve(100) == math.inf  # the probe's end will say when
    assert queue.granted == [(0, "a")]
    lane.answered(queue.slots[0])
    queue.line.serve(100)
    assert [place for place, _ in queue.granted] == [0, 1, 2]


def test_refusals_for_load_never_open_a_circuit() -> None:
    [lane] = lanes(4)
    for now in range(20):
        lane.failed(lane.take(now), BUSY, now + 0.5)
    assert lane.is_up(20)
    assert lane.limit.size == 1


@given(st.data())
def test_no_endpoint_ever_has_more_under_way_than_its_limit_and_all_room_is_given(data: st.DataObject) -> None:
    queue = Queue(*data.draw(st.lists(st.integers(1, 6).map(float), min_size=1, max_size=3)))
    now, open_slots = 0.0, 0
    for place in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.sampled_from([0.0, 0.5, 2.0]))
        queue.enter(place)
        queue.line.serve(now)
        assert all(lane.limit.in_flight <= int(lane.limit.size) for lane in queue.lanes)
        if len(queue.slots) > open_slots and data.draw(st.booleans()):
            slot = queue.slots[open_slots]
            open_slots += 1
            data.draw(st.sampled_from([slot.lane.answered, slot.lane.abandoned]))(slot)
        assert len(queue.slots) - open_slots == sum(lane.limit.in_flight for lane in queue.lanes)
    queue.line.serve(now)
    waits = len(queue.slots) < place + 1
    assert not waits or all(lane.limit.is_used for lane in queue.lanes)


def test_backoff_doubles_up_to_a_bound_and_chance_takes_up_to_half_away() -> None:
    assert [backoff_s(tries, PACE, 0) for tries in (1, 2, 3, 6, 7, 5000)] == pytest.approx([0.3, 0.6, 1.2, 9.6, 10, 10])
    assert backoff_s(1, PACE, 0.5) == pytest.approx(0.225)


def test_three_tries_fit_in_a_deadline() -> None:
    assert Pace.of(Service(deadline_s=10)).try_s == 3


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("3600", 15),
        ("-5", 0),
        ("Sun, 22 Nov 2026 12:00:09 GMT", 9),
        ("Sun, 22 Nov 2026 12:00:09 -0000", 9),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 22 Nov 2027 12:00:00 GMT", 15),
        ("soon", 0),
        ("", 0),
        ("nan", 0),
        ("inf", 0),
    ],
)
def test_both_forms_of_retry_after(header: str, wait_s: float) -> None:
    assert retry_after_s(header, datetime(2026, 11, 22, 12, tzinfo=UTC), longest_s=15) == wait_s


METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a}b"} 3.0
vllm:num_requests_running{engine="1",model_name="a}b"} 1e+01
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a}b"} 0.0
vllm:num_requests_waiting{engine="1",model_name="a}b"} 2.0
vllm:num_requests_waiting_by_reason{engine="1",reason="capacity"} 77.0
"""


def test_the_load_of_all_engines_of_a_server_is_read() -> None:
    assert engine_load(METRICS) == Load(13, 2)
    assert engine_load("vllm:num_requests_running 4\nvllm:num_requests_waiting 5\n") == Load(4, 5)


@pytest.mark.parametrize("page", ["", "<html></html>", "vllm:num_requests_running 4\n", "process_open_fds 12\n"])
def test_a_page_without_the_load_tells_none(page: str) -> None:
    assert engine_load(page) is None
