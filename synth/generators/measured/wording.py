"""Five captions of a clip from its Observation: the same facts for different lengths and purposes."""

from __future__ import annotations

from collections.abc import Sequence

from synth.generators.measured import phrases
from synth.generators.measured.appearance import Fact, brightness, cell_lights
from synth.generators.measured.facts import centre_of_change, clip_facts
from synth.generators.measured.observation import Look, Observation, Track
from synth.generators.measured.voice import Voice, listed, sentence, with_article, words

_LIVELY, _CALM = 0.08, 0.015  # share of pixels that change from sample to sample


def clip_captions(seen: Observation, voice: Voice, profile: str) -> dict[str, str]:
    """A caption of every kind of CAPTION_KINDS; `profile` says which part of the content comes first."""
    facts = by_profile(clip_facts(seen, voice), profile)
    detailed = filled("", [*facts, *cell_lights(seen.look)], voice.random.randint(105, 140), 195)
    start = voice.random.randint(0, 1)  # now and then the abstract leaves the opening fact out
    return {
        "summary": _summary(seen, voice),
        "detailed": detailed,
        "abstract": filled(_overview(seen, voice), facts[start:], voice.random.randint(34, 60), 95),
        "keywords": _keywords(seen, voice),
        "partial": partial(facts, voice),
    }


def by_profile(facts: Sequence[Fact], profile: str) -> list[Fact]:
    """The opening fact, then telling ones before others, and in both groups those the profile favours first."""
    return [*facts[:1], *sorted(facts[1:], key=lambda fact: (not fact.is_telling, fact.about != profile))]


def filled(text: str, facts: Sequence[Fact], least: int, most: int) -> str:
    """`text` with facts added in their order until it has `least` words, never more than `most`."""
    for fact in facts:
        if words(text) >= least:
            break
        if words(text) + words(fact.text) <= most:
            text = f"{text} {fact.text}".strip()
    return text


def partial(facts: Sequence[Fact], voice: Voice) -> str:
    """One or two telling facts and some other, 10 to 70 words: what somebody remembers of a part."""
    telling = [number for number, fact in enumerate(facts) if fact.is_telling]
    kept = voice.random.sample(telling, min(len(telling), voice.random.randint(1, 2)))
    others = [number for number in range(len(facts)) if number not in kept]
    for number in voice.random.sample(others, len(others)):
        if len(kept) >= 2 and sum(words(facts[k].text) for k in kept) >= 10:
            break
        kept.append(number)
    return " ".join(facts[k].text for k in sorted(kept))


def _summary(seen: Observation, voice: Voice) -> str:
    """The fullest of ever shorter versions that has 10 to 25 words."""
    clauses = [_clause(track, seen, voice) for track in phrases.told(seen)]
    setting, camera = phrases.setting(seen.look, voice), phrases.with_camera(seen.camera.move, seen.look)
    where = f" {voice.pick('on', 'against')} {setting}" if setting else ""
    endings = [f"{where}, {camera}" if camera else where, where]
    versions = [listed(clauses[:count]) + end for count in range(len(clauses), 0, -1) for end in endings]
    fitting = [text for text in versions if 10 <= words(text) <= 25]
    return sentence(fitting[0] if fitting else _scene(seen, voice))


def _clause(track: Track, seen: Observation, voice: Voice) -> str:
    """A thing and what it does, its size left out now and then."""
    is_sized = voice.chance(0.6) and not phrases.resizes(track)
    subject = with_article(phrases.noun(track.patch, seen.look, voice, sized=is_sized))
    verb = phrases.does(track, seen, voice) or f"is seen {phrases.place(track.patch.x, track.patch.y)}"
    return f"{subject} {verb}".strip()


def _scene(seen: Observation, voice: Voice) -> str:
    """A summary without things: colours and where they are, camera and change; 10 to 25 words."""
    look, activity = seen.look, seen.activity
    parts = [phrases.setting(look, voice) or f"a scene of {listed(phrases.palette(look) or ['many colours'])}"]
    parts += [f"{name} in the {phrases.cell(index)}" for name, index in look.spots[:1]]
    parts += [camera] if (camera := phrases.with_camera(seen.camera.move, look)) else []
    place = centre_of_change(activity.places)
    parts += [f"with most change {place}"] if activity.share > _CALM and place else []
    parts += [brightness(look), f"brightest in the {phrases.cell(max(range(9), key=look.lights.__getitem__))}"]
    text = parts[0]
    for part in parts[1:]:
        text = f"{text}, {part}" if words(text) + words(part) <= 22 else text
    return text if words(text) >= 10 else f"{text}, from start to end"


def _pace(seen: Observation) -> str:
    share = seen.activity.share
    return "lively" if share > _LIVELY else "calm" if share < _CALM else "moderately lively"


def _overview(seen: Observation, voice: Voice) -> str:
    """What kind of clip it is, in one sentence."""
    told = phrases.told(seen)
    opening = with_article(f"{_pace(seen) if seen.camera.move == 'still' else ''} {voice.word('video')}".strip())
    moving = "" if seen.camera.move in ("still", "") else ", seen from a moving view"
    if not told:
        colours = listed(phrases.palette(seen.look) or ["many colours"])
        return sentence(f"{opening} in {colours}, {brightness(seen.look)} as a whole{moving}")
    active = [track for track in told if phrases.resizes(track) or phrases.travels(track)]
    things = listed([with_article(phrases.short(track.patch, seen.look)) for track in active or told])
    relation = voice.pick("about the movement of", "about") if active else voice.pick("with", "built around")
    return sentence(f"{opening} {relation} {things}{moving}")


def _keywords(seen: Observation, voice: Voice) -> str:
    """Things and what they do, background, camera, light."""
    terms = []
    for track in phrases.told(seen):
        terms.append(phrases.noun(track.patch, seen.look, voice, sized=not phrases.resizes(track)))
        terms += _movement_terms(track)
    terms += phrases.setting_terms(seen.look)
    if seen.camera.move:
        terms.append(phrases.camera_term(seen.camera.move, seen.look))
    if seen.camera.move == "still":
        terms.append(_pace(seen))
    return keyword_list([*terms, *look_terms(seen.look)])


def _movement_terms(track: Track) -> list[str]:
    kinds = [move.kind for move in track.moves if move.kind not in ("", "still")]
    terms = [_movement_term(kind) for kind in kinds[:2]]
    if phrases.resizes(track):
        return [*terms, "growing" if track.growth > 1 else "shrinking"]
    return ["at rest"] if phrases.rests(track) else terms


def _movement_term(kind: str) -> str:
    if kind in ("clockwise", "counterclockwise"):
        return f"{kind} circle"
    if kind.startswith("zigzag"):
        return f"zigzag {kind.split('_')[1]}"
    return f"moving {kind.removeprefix('mostly_').replace('_', ' ')}"


def look_terms(look: Look) -> list[str]:
    """Keywords for light, and for the colours and their places where there is no drawn background."""
    terms: list[str] = []
    if not (phrases.is_drawn(look) and phrases.told_patches(look)):
        terms += [f"{name} {phrases.cell(index)}" for name, index in look.spots[:2]]
    if not phrases.is_drawn(look):
        terms += [f"{name} colours" for name in phrases.palette(look)]
    terms.append(brightness(look).removeprefix("of "))
    contrast = "low" if look.contrast < 0.13 else "high" if look.contrast > 0.26 else "medium"
    return [*terms, f"{contrast} contrast", "wide format" if look.aspect > 1.1 else "narrow format"]


def keyword_list(terms: Sequence[str]) -> str:
    """The terms in their order without repetition, as many as make 19 words: the one caption under 20."""
    kept: list[str] = []
    for term in dict.fromkeys(filter(None, terms)):
        if sum(map(words, kept)) + words(term) <= 19:
            kept.append(term)
    return ", ".join(kept)
