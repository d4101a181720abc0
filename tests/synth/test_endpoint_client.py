"""The client against real servers that misbehave on purpose: nothing lost, nothing twice, nobody blamed for another."""

import asyncio
import itertools
import random
import threading
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from bad_server import BadServer, Body, echo, prompt_of

from infra.errors import EndpointDown, Passing, RowError, RunFailed, UsageError, UvrError
from infra.stage import Service
from synth.generators.endpoint.client import SUSPICIONS, Client, Reply
from synth.generators.endpoint.wire import MOST_BYTES

T = TypeVar("T")
QUICK = Service(deadline_s=3.0, patience_s=5.0, max_in_flight=16)  # tries of 0.9 s
PASSING = ["408", "429", "429:0.1", "429:date1", "500", "500-endless", "503", "503:0.1", "drop", "drop-late", "hang"]
PASSING += ["drip", "not-json", "wrong-schema"]
KEY = "sk-very-secret-0123456789"


def body(prompt: str, model: str = "tiny") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}]}


def asking(
    servers: Iterable[BadServer],
    work: Callable[[Client], Awaitable[T]],
    service: Service = QUICK,
    key: str | None = None,
) -> T:
    """What `work` makes of a client of these servers."""

    async def run() -> T:
        async with Client(replace(service, endpoints=tuple(server.url for server in servers)), key) as client:
            return await work(client)

    return asyncio.run(run())


def ask_all(
    servers: Iterable[BadServer], prompts: Iterable[str], service: Service = QUICK, key: str | None = None
) -> list[Reply | RowError]:
    """Replies or errors of rows, all asked at once; what ends a run is raised."""

    async def settled(client: Client, prompt: str) -> Reply | RowError:
        try:
            return await client.ask(body(prompt))
        except RowError as error:
            return error

    async def work(client: Client) -> list[Reply | RowError]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(settled(client, prompt)) for prompt in prompts]
        return [task.result() for task in tasks]

    try:
        return asking(servers, work, service, key)
    except* UvrError as errors:
        raise errors.exceptions[0] from None


def texts(outcomes: Iterable[Reply | RowError]) -> list[str]:
    return [outcome.text if isinstance(outcome, Reply) else outcome.reason for outcome in outcomes]


def echoes(prompts: Iterable[str]) -> list[str]:
    return [f"echo {prompt}" for prompt in prompts]


def numbered(count: int) -> list[str]:
    return [f"clip-{i:03d}" for i in range(count)]


@contextmanager
def served(*servers: BadServer) -> Iterator[None]:
    for server in servers:
        server.start()
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def test_a_reply_says_what_was_answered_by_whom_and_what_it_took() -> None:
    with BadServer(delay_s=0.05) as server:
        [reply] = ask_all([server], ["hello"], key=KEY)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason, reply.model) == ("echo hello", "stop", "tiny")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.endpoint) == (7, 3, server.url)
    assert reply.latency_s >= 0.05
    assert server.bodies == [body("hello")]


def test_answers_go_to_those_who_asked_whatever_order_they_come_in() -> None:
    prompts = [f"{prompt} bad:ok:{random.random() * 0.1:.3f}" for prompt in numbered(100)]
    with BadServer() as server:
        outcomes = ask_all([server], prompts)
    assert texts(outcomes) == echoes(prompts)
    assert sorted(server.answered) == sorted(prompts)
    assert server.most_at_once <= QUICK.max_in_flight


def test_every_passing_fault_is_tried_again() -> None:
    prompts = [*numbered(20), *(f"bad:once:{fault}" for fault in PASSING)]
    with BadServer() as server:
        assert texts(ask_all([server], prompts)) == echoes(prompts)
    assert server.seen == Counter([*(fault.partition(":")[0] for fault in PASSING), *("ok" for _ in prompts)])
    assert sorted(server.answered) == sorted(prompts)


def test_a_dead_a_slow_and_a_busy_endpoint_together_answer_everything_once() -> None:
    slow = BadServer(delay_s=0.3)
    busy = BadServer(delay_s=0.01, script=itertools.cycle(["ok", "ok", "429"]))
    prompts = numbered(200)
    patient = replace(QUICK, deadline_s=30.0)  # tries of 9 s: what a loaded machine holds up is not asked for twice
    with served(slow, busy):
        outcomes = ask_all([BadServer(), slow, busy], prompts, patient)
    assert texts(outcomes) == echoes(prompts)
    assert sorted(slow.answered + busy.answered) == prompts
    assert slow.answered
    assert busy.answered
    assert busy.seen["429"] > 0


def test_a_retry_prefers_another_endpoint() -> None:
    broken, well = BadServer(script=itertools.repeat("500")), BadServer(delay_s=0.1)
    with served(broken, well):
        assert texts(ask_all([broken, well], numbered(4))) == echoes(numbered(4))
    assert len(broken.bodies) == 2  # at first, each has as much room as the other
    assert len(well.bodies) == 4


def test_one_slow_request_holds_up_nothing_else() -> None:
    async def work(client: Client) -> list[Reply]:
        slow = asyncio.create_task(client.ask(body("bad:hang")))
        others = await asyncio.gather(*(client.ask(body(prompt)) for prompt in numbered(40)))
        assert not slow.done()
        slow.cancel()
        return list(others)

    with BadServer(delay_s=0.01) as server:
        assert texts(asking([server], work, Service(max_in_flight=2))) == echoes(numbered(40))
    assert server.seen["hang"] == 1


def test_a_hung_endpoint_holds_up_only_what_was_sent_to_it() -> None:
    hung, well = BadServer(script=itertools.repeat("hang")), BadServer(delay_s=0.01)
    prompts = numbered(100)
    with served(hung, well):
        assert texts(ask_all([hung, well], prompts)) == echoes(prompts)
    assert sorted(well.answered) == prompts
    assert 0 < len(hung.bodies) < 10


@pytest.mark.parametrize(
    ("poison", "company"),
    [("hang", 12), ("500", 12), ("drop", 12), ("drop-late", 12), ("not-json", 12), ("hang", 0), ("wrong-schema", 0)],
)
def test_a_poison_request_is_given_up_and_nothing_else(poison: str, company: int) -> None:
    """Also when it is alone, so that nobody's answers show that the endpoint is well."""
    prompts = [*numbered(company), f"bad:{poison}"]
    with BadServer(delay_s=0.02) as server:
        *others, blamed = ask_all([server], prompts, Service(deadline_s=1.2, patience_s=6))
    assert texts(others) == echoes(numbered(company))
    assert isinstance(blamed, RowError)
    assert blamed.reason == ("broken_reply" if poison in ("not-json", "wrong-schema") else "no_answer")
    assert "while others are answered" in str(blamed)
    assert 1 < server.seen[poison] <= SUSPICIONS


@pytest.mark.parametrize("fault", ["400", "404", "413", "422"])
def test_a_request_that_is_refused_is_blamed_at_once(fault: str) -> None:
    with BadServer() as server:
        refused, answered = ask_all([server], [f"bad:{fault}", "fine"])
    assert isinstance(refused, RowError)
    assert refused.reason == "rejected_request"
    assert refused.message.startswith(f"{fault}: ")
    assert texts([answered]) == ["echo fine"]
    assert server.seen[fault] == 1


@pytest.mark.parametrize("fault", ["spaces", "huge"])
def test_an_answer_without_end_is_cut_off_before_it_fills_the_memory(fault: str) -> None:
    if fault == "spaces":
        tracemalloc.start()
    with BadServer() as server:
        huge, answered = ask_all([server], [f"bad:{fault}", "fine"])
    assert isinstance(huge, RowError)
    assert huge.reason == "huge_answer"
    assert texts([answered]) == ["echo fine"]
    assert server.seen[fault] == 1
    if fault == "spaces":
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
        tracemalloc.stop()


def test_an_answer_just_under_the_bound_is_whole() -> None:
    with BadServer() as server:
        [reply] = ask_all([server], ["bad:huge:1600000"])
    assert isinstance(reply, Reply)
    assert len(reply.text) == 8_000_000


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("401", "does not take the key"),
        ("403", "does not take the key"),
        ("model", "has no model 'tiny'"),
        ("404-page", "is no chat endpoint: it answered 404"),
        ("418", "is no chat endpoint: it answered 418"),
    ],
)
def test_what_no_row_is_to_blame_for_ends_the_run(fault: str, says: str) -> None:
    with BadServer() as server, pytest.raises(RunFailed, match=says) as failed:
        ask_all([server], [f"bad:{fault}"])
    assert not isinstance(failed.value, Passing)
    assert server.url in str(failed.value)


def test_the_key_goes_to_the_server_and_into_no_error() -> None:
    with BadServer(key=KEY) as server:
        assert texts(ask_all([server], ["hello"], key=f"{KEY}\n")) == ["echo hello"]
        with pytest.raises(RunFailed, match="set OPENAI_API_KEY") as failed:
            ask_all([server], ["hello"], key="sk-wrong-key")
        with pytest.raises(RunFailed, match="set OPENAI_API_KEY"):
            ask_all([server], ["hello"])
    assert "wrong-key" not in str(failed.value)


def test_a_key_that_a_server_says_back_is_starred_out() -> None:
    with BadServer(models=("other",)) as server, pytest.raises(RunFailed) as failed:
        # The model's name stands for anything of a request that an error repeats.
        asking([server], lambda client: client.ask(body("hello", model=KEY)), key=KEY)
    assert KEY not in str(failed.value).replace(f"has no model '{KEY}'", "")


@pytest.mark.parametrize(
    ("endpoints", "key", "says"),
    [
        ([], None, "serving.endpoints is empty"),
        (["localhost:8000/v1"], None, "is no URL"),
        (["http://127.0.0.1:port/v1"], None, "is no URL"),
        (["http://user:word@127.0.0.1/v1"], None, "carries credentials"),
        (["http://127.0.0.1/v1"], "sk-a\nsk-b", "characters that no key has"),
        (["http://127.0.0.1/v1"], "sk-schlüssel", "characters that no key has"),
    ],
)
def test_settings_that_cannot_work_are_refused(endpoints: list[str], key: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Client(replace(QUICK, endpoints=tuple(endpoints)), key)


@pytest.mark.parametrize("fault", ["dead", "500", "503", "429", "429:5", "drop", "hang", "not-json"])
def test_when_nobody_answers_for_long_the_endpoints_are_down_and_no_row_is_blamed(fault: str) -> None:
    servers = [BadServer(script=itertools.repeat(fault)) for _ in range(2)]
    service = Service(deadline_s=0.8, patience_s=0.3)
    with served(*(servers if fault != "dead" else [])), pytest.raises(EndpointDown) as down:
        ask_all(servers, numbered(20), service)
    assert all(server.url in str(down.value) for server in servers)


def test_a_server_that_comes_back_within_patience_answers_everything() -> None:
    server = BadServer(delay_s=0.02)
    prompts = numbered(60)

    async def work(client: Client) -> list[str]:
        async def ask(prompt: str) -> str:
            return (await client.ask(body(prompt))).text

        async def fail_for_a_while() -> None:
            while len(server.answered) < 20:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.3)
            server.start()

        answers, _ = await asyncio.gather(asyncio.gather(*map(ask, prompts)), fail_for_a_while())
        return list(answers)

    server.start()
    try:
        assert asking([server], work, Service(deadline_s=9, patience_s=8, max_in_flight=4)) == echoes(prompts)
    finally:
        server.stop()


def test_silence_counts_only_while_something_is_asked() -> None:
    async def work(client: Client) -> str:
        await client.ask(body("one"))
        await asyncio.sleep(0.8)
        return (await client.ask(body("two bad:once:500"))).text

    with BadServer() as server:
        assert asking([server], work, Service(deadline_s=3, patience_s=0.7)) == "echo two bad:once:500"
    assert len(server.bodies) == 3


def test_an_endpoint_that_asks_to_be_left_alone_is() -> None:
    """The second server would be in reach at once, the first only after a pause that is longer than the test's work."""
    tired, well = BadServer(script=itertools.repeat("503:60")), BadServer(delay_s=0.01)
    with served(tired, well):
        assert texts(ask_all([tired, well], numbered(60), Service(deadline_s=9, patience_s=60))) == echoes(numbered(60))
    assert 0 < len(tired.bodies) <= 4


def test_a_pause_ends_though_nothing_else_happens() -> None:
    with BadServer() as server:
        assert texts(ask_all([server], ["bad:once:429:0.45"], Service(patience_s=2))) == ["echo bad:once:429:0.45"]
    assert len(server.bodies) == 2  # and no question whether anybody is there


class Engine(BadServer):
    """Works on 4 at once, and keeps in mind how many waited when each answer was made."""

    def __init__(self) -> None:
        super().__init__(self.note, delay_s=0.05, capacity=4)
        self.queue: list[int] = []

    def note(self, asked: Body) -> str:
        self.queue.append(self.waiting)
        return echo(asked)

    def settled(self) -> float:
        """How many waited, on average, in the second half."""
        half = self.queue[len(self.queue) // 2 :]
        return sum(half) / len(half)


ADAPTIVE = Service(deadline_s=10, max_in_flight=48)  # looks at the queue every 0.1 s


def test_the_limit_settles_at_what_a_queueing_engine_can_do() -> None:
    with Engine() as engine:
        assert texts(ask_all([engine], numbered(100), ADAPTIVE)) == echoes(numbered(100))
    assert sorted(engine.answered) == numbered(100)
    assert 4 < engine.most_at_once <= 48
    assert engine.looks > 5
    assert engine.settled() < 4  # of 44 that would wait without an eye on the queue


def test_two_clients_share_an_engine() -> None:
    counts: list[Counter[str]] = []

    def one(name: str) -> None:
        prompts = [f"{name} {i}" for i in range(50)]
        counts.append(Counter(texts(ask_all([engine], prompts, ADAPTIVE))) - Counter(echoes(prompts)))

    with Engine() as engine:
        threads = [threading.Thread(target=one, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [Counter(), Counter()]
    assert len(set(engine.answered)) == len(engine.answered) == 100
    assert engine.settled() < 8  # of 92


def test_a_limit_is_never_exceeded_even_by_an_engine_that_never_has_enough() -> None:
    with BadServer(delay_s=0.02) as server:
        assert texts(ask_all([server], numbered(120), Service(max_in_flight=7))) == echoes(numbered(120))
    assert server.most_at_once == 7


def test_requests_that_are_cancelled_give_back_their_room() -> None:
    async def work(client: Client) -> str:
        hung = [asyncio.create_task(client.ask(body("bad:hang"))) for _ in range(6)]
        while server.seen["hang"] < 2:
            await asyncio.sleep(0.01)
        for task in hung:
            task.cancel()
        await asyncio.wait(hung)
        return (await client.ask(body("now"))).text

    with BadServer() as server:
        assert asking([server], work, Service(max_in_flight=2)) == "echo now"
    assert server.seen["hang"] == 2


def test_room_that_comes_together_with_a_cancellation_is_given_back() -> None:
    async def work(client: Client) -> str:
        first, second = (asyncio.create_task(client.ask(body(prompt))) for prompt in ("first", "second"))
        first.add_done_callback(lambda _: second.cancel())  # runs between the grant and what it wakes
        await asyncio.wait([first, second])
        assert second.cancelled()
        async with asyncio.timeout(20):
            return (await client.ask(body("third"))).text

    with BadServer() as server:
        assert asking([server], work, Service(max_in_flight=1)) == "echo third"
    assert server.answered == ["first", "third"]


def test_media_of_megabytes_arrive_whole() -> None:
    def length(asked: Body) -> str:
        return str(len(prompt_of(asked)))

    with BadServer(answer=length) as server:
        assert texts(ask_all([server], ["x" * 4_000_000])) == ["4000000"]
