"""What is no config is refused in one line that begins with the place, and nothing is executed."""

import argparse
import dataclasses
import types

import pytest
from tables.bad_configs import COS, HOSTILE, join, laughs, nested, noise

import optax_sched as os
from optax_sched import Schedule, from_config


@pytest.mark.parametrize("case", range(len(HOSTILE)), ids=[words[:40] for _, words in HOSTILE])
def test_what_is_no_config_is_refused_in_one_line_with_its_place(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, words = HOSTILE[case]
    with pytest.raises((TypeError, ValueError)) as caught:
        from_config(config)
    text = str(caught.value)
    assert text.startswith(f"from_config: {words}"), text
    assert "\n" not in text and len(text) < 500
    assert list(tmp_path.iterdir()) == []  # nothing was executed


class Dumped:
    """As pydantic's models are."""

    def model_dump(self):
        return COS


CONFIG = dataclasses.make_dataclass("Config", [("builder", str)])


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        (CONFIG("constant"), "dataclasses.asdict(config)"),
        (Dumped(), "config.model_dump()"),
        (argparse.Namespace(**COS), "vars(config)"),
        (types.SimpleNamespace(**COS), "vars(config)"),
    ],
)
def test_a_config_object_that_is_no_dict_gets_the_word_that_makes_one(config, remedy):
    with pytest.raises(TypeError, match=r"^from_config: config must be a dict with ") as refused:
        from_config(config)
    assert str(refused.value).endswith(f": give {remedy}")


def test_what_the_hostile_ones_are_changed_from_is_good():
    for config in (
        COS,
        join(COS, 0.1),
        nested(29),
        laughs(5),
        noise(impl="rbg", key_data=[1, 2, 3, 4]),
    ):
        assert isinstance(from_config(config), Schedule)


def test_an_error_of_an_own_check_has_its_place_too():
    def even(n):
        return ("n", "even") if n % 2 else None

    def fussy(n):
        raise ValueError("not today")

    config = {"builder": "every", "schedule": {"builder": "own", "n": 3}, "interval": 1}
    for check, words in (
        (even, r"schedule\.n must be even, got 3 \(in own\)"),
        (fussy, "schedule: not today"),
    ):
        own = os.schedule(lambda step, n: n, name="own", check=check)
        with pytest.raises(ValueError, match=f"^from_config: {words}$"):
            from_config(config, {"own": own})
