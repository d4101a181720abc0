"""Phrases for what was measured: things, places, movements, backgrounds and the camera."""

from __future__ import annotations

from synth.generators.measured.observation import Ground, Look, Move, Observation, Patch, Track
from synth.generators.measured.voice import Voice, listed, with_article

_COLOURLESS = ("black", "gray", "white")
DIRECTIONS = {
    "right": ("to the right", "rightward"),
    "left": ("to the left", "leftward"),
    "up": ("up", "upward"),
    "down": ("down", "downward"),
    "up_right": ("up and to the right", "diagonally to the upper right"),
    "up_left": ("up and to the left", "diagonally to the upper left"),
    "down_right": ("down and to the right", "diagonally to the lower right"),
    "down_left": ("down and to the left", "diagonally to the lower left"),
    "mostly_right": ("mostly to the right",),
    "mostly_left": ("mostly to the left",),
    "mostly_up": ("mostly upward",),
    "mostly_down": ("mostly downward",),
}
_OPPOSITE = {"right": "left", "left": "right", "up": "down", "down": "up", "up_right": "down_left",
             "down_left": "up_right", "up_left": "down_right", "down_right": "up_left"}  # fmt: skip
_CAMERA = {
    "still": ("the camera stays still", "the camera does not move", "with a still camera"),
    "pan_right": ("the camera pans to the right", "the camera moves right", "with a camera pan to the right"),
    "pan_left": ("the camera pans to the left", "the camera moves left", "with a camera pan to the left"),
    "tilt_up": ("the camera tilts up", "the camera moves up", "with a camera tilt upward"),
    "tilt_down": ("the camera tilts down", "the camera moves down", "with a camera tilt downward"),
    "zoom_in": ("the camera zooms in", "the view zooms in", "with a zoom in"),
    "zoom_out": ("the camera zooms out", "the view zooms out", "with a zoom out"),
    "unsteady": ("the camera is unsteady", "the camera shakes a little", "with an unsteady camera"),
}
# Screens and slides scroll rather than being filmed: nothing is said of a camera.
_VIEW = {
    "still": ("the view stays still", "with a still view"),
    "pan_right": ("the view shifts to the right", "with a view that shifts right"),
    "pan_left": ("the view shifts to the left", "with a view that shifts left"),
    "tilt_up": ("the view shifts up", "with a view that shifts up"),
    "tilt_down": ("the view shifts down", "with a view that shifts down"),
    "zoom_in": ("the view zooms in", "with a zoom in"),
    "zoom_out": ("the view zooms out", "with a zoom out"),
    "unsteady": ("the view is unsteady", "with an unsteady view"),
}
_FEW_EDGES = 0.045  # share of pixels on an edge
_SCREEN_SHARE = 0.7  # of black or white, from which a picture may be a screen
_RESIZED = (0.71, 1.4)  # factor of the width, outside of which a thing shrinks or grows
_SLOW, _FAST = 0.1, 0.45  # short sides a second


def is_drawn(look: Look) -> bool:
    """Whether the background has a plain structure, as drawn pictures and screens have."""
    return look.ground.structure != ""


def is_simple(look: Look) -> bool:
    """Whether forms can be trusted: a drawn background, or hardly an edge in the whole picture."""
    return is_drawn(look) or look.detail < _FEW_EDGES


def told(observation: Observation) -> tuple[Track, ...]:
    """The tracks worth telling: of a colour beyond doubt, and not a chance patch of a natural scene."""
    look, chosen = observation.look, dict[str, Track]()
    for track in observation.tracks:
        lasts = track.last_s - track.first_s >= 0.6 * observation.duration_s
        if _stands_out(track.patch, look) and (is_simple(look) or lasts):
            chosen.setdefault(short(track.patch, look), track)
    return tuple(chosen.values())[:3]


def told_patches(look: Look) -> tuple[Patch, ...]:
    """The patches of a picture worth telling, by the same rule."""
    chosen: dict[str, Patch] = {}
    for patch in look.patches:
        if _stands_out(patch, look):
            chosen.setdefault(short(patch, look), patch)
    return tuple(chosen.values())[:3]


def _stands_out(patch: Patch, look: Look) -> bool:
    """Of a certain colour that the background does not have; in a natural scene also large and colourful."""
    behind = {name.split()[-1] for name, _ in look.ground.colours if name}
    if not patch.is_certain or patch.colour in behind:
        return False
    if is_simple(look):
        return patch.is_flat
    return patch.area >= 0.01 and patch.colour not in _COLOURLESS


def noun(patch: Patch, look: Look, voice: Voice, sized: bool = True) -> str:
    """A small dark red circle: size, tone, colour, form, as far as they were measured; without an article."""
    form = _form(patch, look) or voice.word("area")
    return " ".join(part for part in (size(patch, look) if sized else "", patch.tone, patch.colour, form) if part)


def short(patch: Patch, look: Look) -> str:
    """The second mention of a thing: its colour and form."""
    return f"{patch.colour} {_form(patch, look) or 'area'}"


def _form(patch: Patch, look: Look) -> str:
    """The form where it can be trusted, "shape" before a drawn background, "" for a mere area."""
    form = patch.form if is_simple(look) else ""
    return form or ("shape" if is_drawn(look) else "")


def size(patch: Patch, look: Look) -> str:
    """small, medium-sized or large by its longer side, "" near the limits."""
    side = max(patch.width * max(look.aspect, 1.0), patch.height * max(1 / look.aspect, 1.0))
    if side < 0.22:
        return "small"
    if 0.25 < side < 0.34:
        return "medium-sized"
    return "large" if side > 0.38 else ""


def place(x: float, y: float) -> str:
    """in the upper left, at the top, in the middle, ...: "" between the thirds of both axes."""
    column = "left" if x < 0.38 else "right" if x > 0.62 else "middle" if 0.42 < x < 0.58 else ""
    row = "upper" if y < 0.38 else "lower" if y > 0.62 else "middle" if 0.42 < y < 0.58 else ""
    if row == column == "middle":
        return "in the middle"
    if row in ("upper", "lower"):
        if column in ("left", "right"):
            return f"in the {row} {column}"
        return {"upper": "near the top", "lower": "near the bottom"}[row]
    if column in ("left", "right"):
        return f"on the {column}"
    return ""


def cell(index: int) -> str:
    """The name of cell `index` of the 3x3 grid."""
    return ("upper left", "upper middle", "upper right", "middle left", "centre", "middle right",
            "lower left", "lower middle", "lower right")[index]  # fmt: skip


def rests(track: Track) -> bool:
    """Whether a track is known to keep its place against the background."""
    return bool(track.moves) and all(move.kind == "still" for move in track.moves)


def travels(track: Track) -> bool:
    """Whether a track moves against the background in a way that has a name."""
    return any(move.kind not in ("", "still") for move in track.moves)


def resizes(track: Track) -> bool:
    """Whether a track grows or shrinks, the camera's zoom set aside."""
    return not _RESIZED[0] < track.growth < _RESIZED[1]


def does(track: Track, observation: Observation, voice: Voice) -> str:
    """What a track does, as a verb phrase; "" when its movement is not known."""
    if not track.moves:
        return ""
    growing = (voice.word("grows") if track.growth > 1 else voice.word("shrinks")) if resizes(track) else ""
    if rests(track):
        stays = voice.word("stays") if observation.camera.move == "still" else voice.word("stays in scene")
        return growing or stays
    moving = _moving(track, voice)
    return f"{moving} and {growing}" if moving and growing else moving or growing


def _moving(track: Track, voice: Voice) -> str:
    """The verb phrase of the moves of a track that does not only rest; "" when a move has no name."""
    moves = [move for move in track.moves if move.kind != "still"]
    if not moves or any(not move.kind for move in moves):
        far = moves and sum(move.distance for move in moves) > 0.15
        return f"{voice.word('moves')} about" if far else ""
    text = _legs(moves, voice)
    if track.moves[0].kind == "still":
        text = f"{voice.word('waits')} and then {text}"
    if track.moves[-1].kind == "still":
        text = f"{text} and then {voice.word('stops')}"
    return text


def _legs(moves: list[Move], voice: Voice) -> str:
    first = moves[0]
    if first.kind in ("clockwise", "counterclockwise"):
        return voice.pick(
            f"goes round in a circle {first.kind}", f"circles {first.kind}", f"moves {first.kind} in a circle"
        )
    if first.kind.startswith("zigzag"):
        return f"zigzags {voice.pick(*DIRECTIONS[first.kind.split('_')[1]])}"
    pace = _pace(first, voice)
    text = f"{voice.word('moves')} {pace}{direction(first.kind, voice)}"
    if len(moves) == 1:
        return text
    if moves[1].kind == _OPPOSITE.get(first.kind) and 0.7 < moves[1].distance / max(first.distance, 1e-6) < 1.4:
        return f"{text} and then {voice.pick('comes back', 'returns', 'goes back')}"
    return f"{text} and then {direction(moves[1].kind, voice)}"


def _pace(move: Move, voice: Voice) -> str:
    speed = move.distance / max(move.stop_s - move.start_s, 1e-6)
    if speed < _SLOW and voice.chance(0.5):
        return "slowly "
    return "quickly " if speed > _FAST and voice.chance(0.5) else ""


def direction(kind: str, voice: Voice) -> str:
    """A direction as an adverb."""
    return voice.pick(*DIRECTIONS[kind])


def setting(look: Look, voice: Voice) -> str:
    """The background of a drawn picture, or the colours of any other, as a noun phrase; "" when unclear."""
    names = [name for name, _ in look.ground.colours if name]
    back = voice.word("background")
    if is_drawn(look) and len(names) == len(look.ground.colours):
        return _structured(look.ground, names, back, voice)
    if is_drawn(look) and names:
        return with_article(f"partly {names[0]} {_PATTERNS[look.ground.structure]} {back}")
    common = [name for name, share in look.palette if share > 0.2][:2]
    return f"a {voice.word('mostly')} {listed(common)} scene" if common else ""


_PATTERNS = {"stripes": "striped", "gradient": "shaded", "checker": "checkered", "blotches": "patchy"}


def _structured(found: Ground, names: list[str], back: str, voice: Voice) -> str:
    if found.structure == "plain":
        return with_article(f"{voice.pick('plain ', 'plain ', '')}{names[0]} {back}")
    pair = listed(names)
    if found.structure == "gradient":
        ends = ("on the left", "on the right") if found.axis == "horizontal" else ("at the top", "at the bottom")
        return f"a {back} that fades from {names[0]} {ends[0]} to {names[1]} {ends[1]}"
    if found.structure == "stripes":
        return voice.pick(f"a {back} of {found.axis} {pair} stripes", f"a pattern of {found.axis} {pair} stripes")
    if found.structure == "checker":
        return voice.pick(f"a {back} of {pair} squares", f"a checkered {pair} {back}")
    return voice.pick(f"a {back} of {pair} patches", f"a patchy {pair} {back}")


def setting_terms(look: Look) -> list[str]:
    """The background as keywords."""
    names = [name for name, _ in look.ground.colours if name]
    if not is_drawn(look) or not names:
        return []
    if look.ground.structure == "plain":
        return [f"plain {names[0]} background"]
    axis = f"{look.ground.axis} " if look.ground.axis else ""
    kinds = {"gradient": "gradient", "stripes": "stripes", "checker": "checkerboard", "blotches": "patches"}
    return [f"{axis}{listed(names)} {kinds[look.ground.structure]}"]


def _camera_forms(move: str, look: Look) -> tuple[str, ...]:
    name, share = look.palette[0]
    is_screen = name in ("black", "white") and share > _SCREEN_SHARE
    return (_VIEW if is_screen else _CAMERA).get(move, ("",))


def camera(move: str, look: Look, voice: Voice) -> str:
    """What the camera does as a clause, "" when it is not known."""
    forms = _camera_forms(move, look)
    return voice.pick(*(forms[:-1] or forms))


def with_camera(move: str, look: Look) -> str:
    """The same as an addition: with a still camera."""
    return _camera_forms(move, look)[-1]


def camera_term(move: str, look: Look) -> str:
    """The same as a keyword."""
    return f"{'view' if _camera_forms(move, look) == _VIEW.get(move) else 'camera'} {move.replace('_', ' ')}"


def moment(share: float) -> str:
    """A moment of the clip, from its share of the duration."""
    if share < 0.3:
        return "early on"
    if share > 0.7:
        return "near the end"
    return "about halfway" if 0.4 < share < 0.6 else "later" if share > 0.5 else "before halfway"


def palette(look: Look, most: int = 3) -> list[str]:
    """Names of the commonest colours that hold a good part of the picture."""
    return [name for name, share in look.palette[:most] if share > 0.08]
