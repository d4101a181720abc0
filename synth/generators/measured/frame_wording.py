"""Five captions of one picture from its Look."""

from __future__ import annotations

from synth.generators.measured import phrases
from synth.generators.measured.appearance import brightness, cell_lights, frame_facts
from synth.generators.measured.observation import Look
from synth.generators.measured.voice import Voice, listed, sentence, with_article, words
from synth.generators.measured.wording import by_profile, filled, keyword_list, look_terms, partial


def frame_captions(look: Look, voice: Voice, profile: str) -> dict[str, str]:
    """A caption of every kind of CAPTION_KINDS; `profile` says which part of the content comes first."""
    facts = by_profile(frame_facts(look, voice), profile)
    start = voice.random.randint(0, 1)  # now and then the abstract leaves the opening fact out
    return {
        "summary": _summary(look, voice),
        "detailed": filled("", [*facts, *cell_lights(look)], voice.random.randint(55, 95), 195),
        "abstract": filled(_overview(look, voice), facts[start:], voice.random.randint(32, 50), 95),
        "keywords": _keywords(look, voice),
        "partial": partial(facts, voice),
    }


def _things(look: Look, voice: Voice) -> list[str]:
    """Noun phrases with their places."""
    named = (
        (p, with_article(phrases.noun(p, look, voice, sized=voice.chance(0.6)))) for p in phrases.told_patches(look)
    )
    return [f"{name} {phrases.place(p.x, p.y)}".strip() for p, name in named]


def _summary(look: Look, voice: Voice) -> str:
    """The fullest of ever shorter versions that has 10 to 25 words."""
    things, setting = _things(look, voice), phrases.setting(look, voice)
    where = f" {voice.pick('on', 'against')} {setting}" if setting else ""
    versions = [listed(things[:count]) + where + end for count in range(len(things), 0, -1)
                for end in ("", f", the picture {brightness(look)}")]  # fmt: skip
    fitting = [text for text in versions if 10 <= words(text) <= 25]
    return sentence(fitting[0] if fitting else _scene(look, voice))


def _scene(look: Look, voice: Voice) -> str:
    """A summary without things: colours and where they are, light."""
    setting = phrases.setting(look, voice) or f"a scene of {listed(phrases.palette(look) or ['many colours'])}"
    spots = [f", {name} in the {phrases.cell(index)}" for name, index in look.spots[:1]]
    return f"a still {voice.word('picture')} of {setting}{''.join(spots)}, {brightness(look)} as a whole"


def _overview(look: Look, voice: Voice) -> str:
    told = phrases.told_patches(look)
    things = listed(
        [with_article(phrases.short(patch, look)) for patch in told] or phrases.palette(look) or ["many colours"]
    )
    relation = voice.pick("built around", "composed of", "about") if told else "in"
    return sentence(f"a still {voice.word('picture')} {relation} {things}")


def _keywords(look: Look, voice: Voice) -> str:
    """5 to 30 words: things and where they are, background, light, colours."""
    terms = []
    for patch in phrases.told_patches(look):
        terms += [
            phrases.noun(patch, look, voice),
            phrases.place(patch.x, patch.y).removeprefix("in the ").removeprefix("on the "),
        ]
    return keyword_list([*terms, *phrases.setting_terms(look), *look_terms(look), "still picture"])
