"""Whole sentences for what was measured over time, each true by itself, the most telling first."""

from __future__ import annotations

from collections.abc import Iterator

from synth.generators.measured import phrases
from synth.generators.measured.appearance import OTHER, SPATIAL, TEMPORAL, Fact, appearance, covers, relation, setting
from synth.generators.measured.observation import Activity, Observation, Track
from synth.generators.measured.voice import Voice, sentence, with_article

_THIRDS = ("on the left", "along the middle", "on the right", "near the top", "at middle height", "near the bottom")
_MUCH = 0.08  # share of the pixels that change from sample to sample


def clip_facts(seen: Observation, voice: Voice) -> list[Fact]:
    """Everything worth saying about a clip."""
    told = phrases.told(seen)
    from_start = [(track.patch, *track.start) for track in told if not track.appears]
    return [
        *(fact for track in told for fact in _track(track, seen, voice)),
        *setting(seen.look, voice),
        *_camera(seen, voice),
        *_order(seen, voice),
        *_activity(seen, voice),
        *relation(from_start, seen.look, voice, "at the start "),
        *appearance(seen.look, voice),
        *_length(seen, voice),
    ]


def _track(track: Track, seen: Observation, voice: Voice) -> Iterator[Fact]:
    subject = with_article(phrases.noun(track.patch, seen.look, voice, sized=not phrases.resizes(track)))
    verb, start, end = phrases.does(track, seen, voice), phrases.place(*track.start), phrases.place(*track.end)
    thing = f"the {phrases.short(track.patch, seen.look)}"
    if not verb:
        where_seen = phrases.place(track.patch.x, track.patch.y)
        yield Fact(sentence(f"{subject} can be seen {where_seen}".strip()), SPATIAL, True)
    elif seen.camera.move == "still" and phrases.rests(track):
        yield Fact(sentence(f"{subject} {verb} {start}".strip()), SPATIAL, True)
    else:
        yield Fact(sentence(f"{subject} {verb}"), TEMPORAL, True)
        yield from _way(thing, start, end, seen.camera.move == "still")
    if not phrases.resizes(track) and voice.chance(0.7):
        yield covers(track.patch, seen.look, voice)


def _way(thing: str, start: str, end: str, is_fixed: bool) -> Iterator[Fact]:
    """Where on screen a thing starts and ends."""
    if start and start == end:
        yield Fact(sentence(f"{thing} starts and ends {start}"), SPATIAL, True)
    elif start and end:
        text = (
            f"{thing} starts {start} and ends {end}"
            if is_fixed
            else f"on screen {thing} is first {start}, at last {end}"
        )
        yield Fact(sentence(text), SPATIAL, True)
    elif start or end:
        yield Fact(sentence(f"{thing} is {start or end} at the {'start' if start else 'end'}"), SPATIAL, True)


def _camera(seen: Observation, voice: Voice) -> Iterator[Fact]:
    whole = phrases.camera(seen.camera.move, seen.look, voice)
    first, second = (phrases.camera(move, seen.look, voice) for move in seen.camera.halves)
    if whole:
        yield Fact(sentence(f"{whole}"), TEMPORAL, True)
    elif first and second and seen.camera.halves[0] != seen.camera.halves[1]:
        yield Fact(sentence(f"in the first half {first}, in the second half {second}"), TEMPORAL, True)


def _order(seen: Observation, voice: Voice) -> Iterator[Fact]:
    moments = events(seen, voice)
    apart = moments[:1]
    for event in moments[1:]:
        if event[0] - apart[-1][0] > 0.15 * seen.duration_s:
            apart.append(event)
    if len(apart) == 1:
        yield Fact(sentence(f"{phrases.moment(apart[0][0] / seen.duration_s)} {apart[0][1]}"), TEMPORAL, True)
    elif apart:
        later = "".join(f", {voice.pick('then', 'after that', 'later')} {text}" for _, text in apart[1:3])
        yield Fact(sentence(f"first {apart[0][1]}{later}"), TEMPORAL, True)


def events(seen: Observation, voice: Voice) -> list[tuple[float, str]]:
    """What changes at a moment, as (second, clause), in the order of time."""
    return sorted(event for track in phrases.told(seen) for event in _events(track, seen, voice))


def _events(track: Track, seen: Observation, voice: Voice) -> Iterator[tuple[float, str]]:
    """Changes in a track's life that have a moment, as (second, clause)."""
    thing = f"the {phrases.short(track.patch, seen.look)}"
    is_sharp = track.patch.is_flat and phrases.is_drawn(seen.look)
    if track.appears and is_sharp:
        yield track.first_s, f"{thing} {voice.word('appears')}"
    for before, after in zip(track.moves, track.moves[1:], strict=False):
        if before.kind == "still" and after.kind:
            yield after.start_s, f"{thing} starts to move"
        elif after.kind == "still" and before.kind:
            yield after.start_s, f"{thing} {voice.word('stops')}"
        elif before.kind and after.kind:
            yield after.start_s, f"{thing} changes direction"
    if track.disappears and is_sharp:
        yield track.last_s, f"{thing} {voice.word('vanishes')}"


def _activity(seen: Observation, voice: Voice) -> Iterator[Fact]:
    """Changes besides the camera's motion; where that is unclear only that there are many."""
    found, move = seen.activity, seen.camera.move
    if found.share > _MUCH or move:
        besides = "" if move in ("still", "") else "apart from the movement of the view, "
        for text in _changes(found, voice):
            yield Fact(sentence(f"{besides}{text}"), TEMPORAL)
    if found.direction and move == "still":  # else parallax
        yield Fact(f"What moves goes mostly {phrases.direction(found.direction, voice)}.", TEMPORAL, True)
    if abs(found.light) > 0.12:
        yield Fact(f"The picture gets {'brighter' if found.light > 0 else 'darker'} from start to end.", TEMPORAL, True)
    elif abs(found.light) < 0.03:
        yield Fact("At the end the picture is as bright as at the start.", TEMPORAL)


def _changes(found: Activity, voice: Voice) -> Iterator[str]:
    if found.share < 0.002:
        yield f"hardly anything changes from one moment to the next in this {voice.word('video')}"
        return
    yield where(found.places)
    amount = "little" if found.share < 0.015 else "a great deal of" if found.share > _MUCH else "some"
    more, less = ("first", "second") if found.halves[0] > found.halves[1] else ("second", "first")
    if max(found.halves) > 1.8 * min(found.halves):
        yield f"there is {amount} change from moment to moment, more of it in the {more} half than in the {less}"
    else:
        yield f"there is {amount} change from moment to moment, {voice.pick('throughout', 'in both halves alike')}"


def where(places: tuple[float, ...]) -> str:
    """The part of the picture with most of the change, if there is one."""
    spot = centre_of_change(places)
    return f"most of the change happens {spot}" if spot else "the changes are spread over several parts of the picture"


def centre_of_change(places: tuple[float, ...]) -> str:
    """Where most of the change is: a cell, a column or a row of the 3x3 grid, "" when spread out."""
    busiest = max(range(9), key=places.__getitem__)
    if places[busiest] > 0.5:
        return f"in the {phrases.cell(busiest)}"
    columns = [sum(places[column::3]) for column in range(3)]
    rows = [sum(places[3 * row : 3 * row + 3]) for row in range(3)]
    thirds = [*columns, *rows]
    return _THIRDS[thirds.index(max(thirds))] if max(thirds) > 0.6 else ""


def _length(seen: Observation, voice: Voice) -> Iterator[Fact]:
    seconds = max(1, round(seen.duration_s))
    unit = "second" if seconds == 1 else "seconds"
    yield Fact(f"The {voice.word('video')} lasts {voice.word('about')} {seconds} {unit}.", OTHER)
