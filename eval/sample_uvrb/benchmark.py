"""All sixteen analogues, as plain values: nothing is rendered yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eval.sample_uvrb.analogue import Analogue, Dial
from eval.sample_uvrb.coarse import crb_g, didemo, msrvtt, msrvtt_i2v
from eval.sample_uvrb.composed import ms_ti, ms_tv
from eval.sample_uvrb.long import lovr_c2v, lovr_v, vdc_d
from eval.sample_uvrb.partial import dream_e, lovr_th, pev_k
from eval.sample_uvrb.spatial import crb_s, vdc_o
from eval.sample_uvrb.temporal import cmrb, crb_t

ANALOGUES: Final[dict[str, Callable[[Dial], Analogue]]] = {
    "MSRVTT": msrvtt,
    "DiDeMo": didemo,
    "CRB-G": crb_g,
    "CRB-S": crb_s,
    "VDC-O": vdc_o,
    "CRB-T": crb_t,
    "CMRB": cmrb,
    "DREAM-E": dream_e,
    "LoVR-TH": lovr_th,
    "PEV-K": pev_k,
    "LoVR-V": lovr_v,
    "VDC-D": vdc_d,
    "MS-TI": ms_ti,
    "MS-TV": ms_tv,
    "MSRVTT-I2V": msrvtt_i2v,
    "LoVR-C2V": lovr_c2v,
}


def draw_benchmark(dial: Dial) -> tuple[Analogue, ...]:
    """The analogues in the order of UVRB; the same dial always gives the same.

    Raises UsageError for more queries than can be told apart.
    """
    return tuple(make(dial) for make in ANALOGUES.values())
