"""The table of configs that are none: what is wrong, and how the one line about it begins."""

import functools
import math
from typing import Any

import numpy as np

import optax_sched as os

COS = {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": 10}
EVIL = "__import__('os').system('touch stolen')"


def cos(**changes: Any) -> dict[str, Any]:
    return {**COS, **changes}


def join(*schedules: Any, **changes: Any) -> dict[str, Any]:
    boundaries = list(range(1, len(schedules)))
    return {"builder": "join", "schedules": list(schedules), "boundaries": boundaries, **changes}


def cyclic_dict() -> dict[str, Any]:
    config: dict[str, Any] = {"builder": "multiply"}
    config["schedules"] = [config, config]
    return config


def cyclic_list() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def nested(levels: int) -> Any:
    return functools.reduce(
        lambda inner, _: {"builder": "delay", "schedule": inner, "steps": 1}, range(levels), COS
    )


def nested_list(levels: int) -> Any:
    return functools.reduce(lambda inner, _: [inner], range(levels), 0.1)


def laughs(levels: int) -> Any:
    """Few objects, 2 ** levels schedules: as YAML's references can make them."""
    return functools.reduce(
        lambda inner, _: {"builder": "multiply", "schedules": [inner, inner]}, range(levels), COS
    )


def noise(**key: Any) -> dict[str, Any]:
    return {"builder": "noisy", "schedule": 0.1, "scale": 0.1, "key": key}


class Trap:
    """It notices when anything but its type and repr is used."""

    def __call__(self, *_: Any) -> Any:
        raise AssertionError("called")

    def __repr__(self) -> str:
        return "Trap()"


HOSTILE: list[tuple[Any, str]] = [
    (None, "config must be a dict with the key 'builder', got None"),
    (0.1, "config must be a dict"),
    ("cosine_decay", "config must be a dict"),
    ([COS], "config must be a dict"),
    (b"{}", "config must be a dict"),
    (os.cosine_decay(0.1, 10), "config must be a dict"),
    ({}, "builder is missing: the name of a builder"),
    ({"init_value": 0.1}, "builder is missing"),
    ({"builder": None}, "builder must be the name of a builder, got None"),
    ({"builder": 3}, "builder must be the name of a builder, got 3"),
    (
        {"builder": ["constant"], "value": 1},
        "builder must be the name of a builder, got ['constant']",
    ),
    (
        {"builder": os.constant, "value": 1},
        "builder must be the name of a builder, got <function con",
    ),
    (
        cos(builder="cosine_decya"),
        "builder must be the name of a builder, got 'cosine_decya'; did you mean cosine_decay?",
    ),
    ({"builder": "Cosine_Decay"}, "builder must be the name of a builder, got 'Cosine_Decay'; did you"),
    ({"builder": EVIL}, "builder must be the name of a builder, got \"__import__('"),
    ({"builder": "os.system", "value": EVIL}, "builder must be the name of a builder, got 'os.system'"),
    ({"builder": "__class__"}, "builder must be the name of a builder"),
    ({"builder": "schedule", "function": EVIL}, "builder must be the name of a builder"),
    ({"builder": "reduce_on_plateau"}, "builder must be the name of a builder"),
    ({"builder": "a\nb" * 10**6}, "builder must be the name of a builder, got 'a\\nb"),
    ({"builder": "constant"}, "value is missing; constant takes value"),
    (
        {"builder": "cosine_decay", "init_value": 0.1},
        "decay_steps is missing; cosine_decay takes init_value, decay_steps, end_value, exponent",
    ),
    (
        cos(decay_step=3),
        "decay_step is unknown; did you mean decay_steps?; cosine_decay takes init_value, decay_steps,",
    ),
    (cos(__class__=3), "__class__ is unknown"),
    ({**COS, 3: 4}, "[3] is unknown"),
    ({**COS, None: 4}, "[None] is unknown"),
    ({**COS, "a\nb": 4}, "['a\\nb'] is unknown"),
    ({**COS, "step": 4}, "step is unknown"),
    (cos(decay_steps=-1), "decay_steps must be a positive finite number of steps"),
    (cos(decay_steps=EVIL), "decay_steps must be a positive finite number of steps"),
    (cos(decay_steps="10"), "decay_steps must be a positive finite number of steps"),
    (cos(init_value="1e-5"), "init_value must be a finite number, 0 or more, got '1e-5'"),
    (cos(init_value=True), "init_value must be a finite number, 0 or more, got True"),
    (cos(init_value=None), "init_value must be a finite number, 0 or more, got None"),
    (cos(init_value=math.nan), "init_value must be a finite number, 0 or more, got nan"),
    (cos(init_value=math.inf), "init_value must be a finite number, 0 or more, got inf"),
    (cos(init_value=1e300), "init_value must be a finite number, 0 or more, got 1e+300"),
    (cos(init_value=10**400), "init_value must be a finite number, 0 or more, got 10000000"),
    (
        cos(init_value=1 << 10**6),
        "init_value must be a finite number, 0 or more, got an integer of about",
    ),
    (cos(init_value=[0.1]), "init_value must be a finite number, 0 or more, got [0.1]"),
    (cos(init_value=COS), "init_value must be a finite number, 0 or more, got cosine_decay("),
    (cos(init_value={}), "init_value.builder is missing"),
    (cos(init_value=1j), "init_value must be a dict, a list, a string, a number, True, False or None"),
    (cos(init_value=np.float32(1)), "init_value must be a dict, a list, a string, a number"),
    (cos(init_value=Trap()), "init_value must be a dict, a list, a string, a number"),
    (
        join(COS, cos(decay_steps=-1)),
        "schedules[1].decay_steps must be a positive finite number of ste",
    ),
    (join(0.1, join(0.2, cos(end_value=-3))), "schedules[1].schedules[1].end_value must be a finite"),
    (join(0.1, {"builder": "linear"}), "schedules[1].init_value is missing; linear takes init_value, "),
    (
        join(0.1, {"builder": "liner"}),
        "schedules[1].builder must be the name of a builder, got 'liner'",
    ),
    (join(0.1, "cosine_decay"), "schedules[1] must be a schedule, a function of the step, or a finite"),
    (join(0.1, None), "schedules[1] must be a schedule"),
    (join(0.1, [COS]), "schedules[1] must be a schedule"),
    (join(0.1, Trap()), "schedules[1] must be a dict, a list, a string, a number"),
    (join(0.1, cyclic_list()), "schedules[1] must be a schedule"),
    (join(0.1, nested_list(10**5)), "schedules[1] must be a schedule"),
    (join(), "schedules must be a sequence of one or more"),
    (join(0.1, 0.2, boundaries=[]), "boundaries must be"),
    (join(0.1, 0.2, 0.3, boundaries=[5, 5]), "boundaries must be a strictly increasing sequence"),
    (join(0.1, 0.2, boundaries=["5"]), "boundaries[0] must be a positive finite number of steps"),
    (join(0.1, 0.2, boundaries="12"), "boundaries must be a strictly increasing sequence"),
    (join(0.1, 0.2, boundaries=COS), "boundaries must be a strictly increasing sequence"),
    ({"builder": "join", "schedules": COS, "boundaries": []}, "schedules must be a sequence of one or"),
    ({"builder": "multiply", "schedules": COS}, "schedules must be a sequence of one or more"),
    ({"builder": "multiply"}, "schedules must be a sequence of one or more schedules"),
    ({"builder": "table", "values": [*[0.1] * 99, "x"]}, "values[99] must be a finite number, got 'x'"),
    (
        {"builder": "table", "values": [0.1, 1 << 10**6]},
        "values[1] must be a finite number, got an int",
    ),
    ({"builder": "table", "values": [0.1, True]}, "values[1] must be a finite number, got True"),
    ({"builder": "table", "values": [[0.1]]}, "values[0] must be a finite number, got [0.1]"),
    ({"builder": "table", "values": [{}]}, "values[0].builder is missing"),
    (
        {"builder": "clip", "schedule": COS, "min_value": 2, "max_value": 1},
        "min_value must be at most max_value = 1.0, got 2",
    ),
    (
        join(0.1, {"builder": "clip", "schedule": COS, "min_value": 2, "max_value": 1}),
        "schedules[1].min_value must be at most max_value = 1.0, got 2",
    ),
    (
        {"builder": "warmup", "schedule": COS, "warmup_steps": 3, "shape": EVIL},
        "shape must be one of 'linear', 'cosine', 'sqrt', 'square'",
    ),
    (
        {"builder": "warmup", "schedule": COS, "warmup_steps": 3, "shape": abs},
        "shape must be a dict, a list, a string, a number",
    ),
    ({"builder": "delay", "schedule": "lambda t: 1", "steps": 3}, "schedule must be a schedule"),
    ({"builder": "delay", "schedule": math.sin, "steps": 3}, "schedule must be a dict, a list"),
    (
        {"builder": "one_cycle", "peak_value": 0.1, "total_steps": 9, "three_phase": 1},
        "three_phase must be one of False, True, got 1",
    ),
    (noise(), "key must be a seed, or a key as {'impl': its kind, 'key_data': a list of its words}"),
    (noise(impl="threefry2x32", key_data=[1, 2, 3]), "key must be a seed, or a key"),
    (noise(impl="threefry2x32", key_data=[1, -2]), "key must be a seed, or a key"),
    (noise(impl="threefry2x32", key_data=[1, 0.5]), "key must be a seed, or a key"),
    (noise(impl="threefry2x32", key_data=3), "key must be a seed, or a key"),
    (noise(impl=EVIL, key_data=[1, 2]), "key must be a seed, or a key"),
    (noise(impl=["threefry2x32"], key_data=[1, 2]), "key must be a seed, or a key"),
    (noise(impl="threefry2x32", key_data=[1, 2], more=3), "key must be a seed, or a key"),
    (
        nested(30),
        "config must be at most 30 schedules deep and 10000 in all, got more from schedule.",
    ),
    (nested(10**5), "config must be at most 30 schedules deep"),
    (cyclic_dict(), "config must be at most 30 schedules deep"),
    (laughs(60), "config must be at most 30 schedules deep and 10000 in all"),
    ({"builder": "multiply", "schedules": [0.1, nested(200)]}, "config must be at most 30 schedules"),
]
