# pyright: reportArgumentType=false
"""Configs of other libraries, YAML's traps, and a few settings changed in one line."""

import types
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import omegaconf
import pytest
import yaml

import optax_sched as os
from optax_sched import from_config, to_config

SCHEDULE = os.join(
    [
        os.warmup(os.cosine_decay(0.1, 900), 100, shape=os.k_shape(0.5)),
        os.multistep_decay(0.1, [3, 9], 0.5),
    ],
    [1000],
)


class Own(Mapping[str, Any]):
    """A mapping that is neither a dict nor a subclass of one."""

    def __init__(self, items: dict[str, Any]):
        self.items_ = items

    def __getitem__(self, key: str) -> Any:
        return self.items_[key]

    def __iter__(self):
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)


def deep(value: Any, mapping: Any, sequence: Any) -> Any:
    if isinstance(value, dict):
        return mapping({key: deep(item, mapping, sequence) for key, item in value.items()})
    return (
        sequence([deep(item, mapping, sequence) for item in value])
        if isinstance(value, list)
        else value
    )


WAYS: dict[str, Any] = {
    "OmegaConf": omegaconf.OmegaConf.create,
    "ml_collections": ml_collections.ConfigDict,
    "tuples": lambda config: deep(config, dict, tuple),
    "mappings": lambda config: deep(config, Own, tuple),
    "proxies": lambda config: deep(config, types.MappingProxyType, list),
    "YAML": lambda config: yaml.safe_load(yaml.safe_dump(config)),
    "OmegaConf of YAML": lambda config: omegaconf.OmegaConf.create(yaml.safe_dump(config)),
}


@pytest.mark.parametrize("way", WAYS)
def test_any_mapping_and_any_sequence_is_read(way):
    for schedule in (SCHEDULE, os.multiply(0.5, os.table([1, 2])), os.noisy(0.1, 0, 0.1)):
        assert repr(from_config(WAYS[way](to_config(schedule)))) == repr(schedule)


def test_interpolations_and_references_are_resolved():
    config = omegaconf.OmegaConf.create(
        {
            "steps": 900,
            "rate": {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": "${steps}"},
        }
    )
    assert from_config(config.rate).decay_steps == 900
    steps = ml_collections.FieldReference(900)
    reference = ml_collections.ConfigDict(
        {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": steps}
    )
    assert from_config(reference).decay_steps == 900
    steps.set(800)
    assert from_config(reference).decay_steps == 800


@pytest.mark.parametrize("way", ["OmegaConf", "ml_collections", "mappings"])
def test_an_error_names_the_path_and_the_builder(way):
    config = to_config(SCHEDULE)
    config["schedules"][0]["schedule"]["init_value"] = -1
    with pytest.raises(ValueError) as caught:
        from_config(WAYS[way](config))
    rule = "must be a finite number, 0 or more, got -1 (in cosine_decay)"
    assert str(caught.value) == f"from_config: schedules[0].schedule.init_value {rule}"


def test_a_config_of_several_groups_names_one():
    groups = {"encoder": to_config(SCHEDULE), "head": to_config(SCHEDULE)}
    says = r"^from_config: builder is missing: .*; read each group, such as config\['encoder'\]$"
    with pytest.raises(TypeError, match=says):
        from_config(groups)


COSINE = "builder: cosine_decay\ndecay_steps: 10\ninit_value: "
TEXTS = [
    (
        COSINE + "6e-3",
        "init_value must be a finite number, 0 or more, got '6e-3': YAML reads 6e-3 as text, "
        "write 0.006 (in cosine_decay)",
    ),
    (
        COSINE + "1E5",
        "init_value must be a finite number, 0 or more, got '1E5': YAML reads 1E5 as text, "
        "write 100000.0 (in cosine_decay)",
    ),
    (
        COSINE + "1.5e4",
        "init_value must be a finite number, 0 or more, got '1.5e4': YAML reads 1.5e4 as "
        "text, write 15000.0 (in cosine_decay)",
    ),
    (
        COSINE + "'0.1'",
        "init_value must be a finite number, 0 or more, got '0.1': write 0.1 without quotes"
        " (in cosine_decay)",
    ),
    (
        COSINE + "1e-6",
        "init_value must be a finite number, 0 or more, got '1e-6': YAML reads 1e-6 as text, "
        "write 1.0e-06 (in cosine_decay)",
    ),
    (COSINE + "high", "init_value must be a finite number, 0 or more, got 'high' (in cosine_decay)"),
    (
        "builder: table\nvalues: [0.1, 1e-2]",
        "values[1] must be a finite number, got '1e-2': YAML reads 1e-2 as text, write 0.01 (in table)",
    ),
    (
        "builder: delay\nsteps: 1\nschedule: {builder: table, values: [0.1, x]}",
        "schedule.values[1] must be a finite number, got 'x' (in table)",
    ),
]


@pytest.mark.parametrize(("text", "line"), TEXTS, ids=[line[:60] for _, line in TEXTS])
def test_a_text_where_a_number_belongs_says_what_yaml_did(text, line):
    with pytest.raises((TypeError, ValueError)) as caught:
        from_config(yaml.safe_load(text))
    assert str(caught.value) == f"from_config: {line}"
    _, advice, rest = line.partition("write ")
    if advice:
        assert isinstance(yaml.safe_load(rest.split()[0]), float)


# ---- a few settings changed in one line ----


def test_settings_of_a_command_line_are_one_line():
    config = omegaconf.OmegaConf.create(to_config(os.warmup(os.cosine_decay(0.1, 900), 100)))
    given = omegaconf.OmegaConf.from_dotlist(["schedule.init_value=0.2", "warmup_steps=50"])
    merged = from_config(omegaconf.OmegaConf.merge(config, given))
    replaced = from_config(config).replace(**{"schedule.init_value": 0.2, "warmup_steps": 50})
    assert repr(merged) == repr(replaced) == repr(os.warmup(os.cosine_decay(0.2, 900), 50))


PATHS = [
    ({"boundaries": [900]}, lambda s: s.boundaries.tolist(), [900]),
    ({"schedules[0].warmup_steps": 7}, lambda s: s.schedules[0].warmup_steps, 7),
    ({"schedules[0].schedule.init_value": 0.3}, lambda s: s.schedules[0].schedule.init_value, 0.3),
    ({"schedules.0.schedule.init_value": 0.3}, lambda s: s.schedules[0].schedule.init_value, 0.3),
    ({"schedules[0].shape.k": 2}, lambda s: s.schedules[0].shape.k, 2.0),
    ({"schedules[0].shape": "cosine"}, lambda s: s.schedules[0].shape, "cosine"),
    ({"schedules[1].boundaries": [4]}, lambda s: s.schedules[1].boundaries.tolist(), [4]),
    ({"schedules[1]": 0.5}, lambda s: repr(s.schedules[1]), "constant(value=0.5)"),
    ({"schedules": [1.0, 2.0]}, lambda s: repr(s.schedules[1]), "constant(value=2.0)"),
]


@pytest.mark.parametrize(("changes", "read", "value"), PATHS, ids=[next(iter(row[0])) for row in PATHS])
def test_replace_takes_paths(changes, read, value):
    before = repr(SCHEDULE)
    assert read(SCHEDULE.replace(**changes)) == value
    assert repr(SCHEDULE) == before


def test_several_paths_at_once():
    changed = SCHEDULE.replace(
        **{
            "schedules[0].schedule.init_value": 0.3,
            "schedules[0].schedule.end_value": 0.1,
            "schedules[0].warmup_steps": 50,
            "schedules[1].decay_rate": 0.1,
            "boundaries": [950],
        }
    )
    first, second = changed.schedules
    assert (first.schedule.init_value, first.schedule.end_value, first.warmup_steps) == (0.3, 0.1, 50)
    assert (second.decay_rate, changed.boundaries.tolist()) == (0.1, [950])
    np.testing.assert_allclose(changed(50), 0.3, rtol=1e-6)


WRONG = [
    (
        {"schedules[0].schedule.init_value": -1},
        ValueError,
        "cosine_decay: init_value must be a finite num",
    ),
    (
        {"schedules[0].schedule.gamma": 1},
        TypeError,
        "cosine_decay has no hyperparameter gamma; it has init",
    ),
    (
        {"schedules[0].lr": 1},
        TypeError,
        "warmup has no hyperparameter lr; did you mean replace(**{'schedule.init_value': ...})?; it",
    ),
    ({"schedules[2].value": 1}, TypeError, "join.schedules has no hyperparameter [2].value"),
    ({"schedules[x].value": 1}, TypeError, "join.schedules has no hyperparameter [x].value"),
    ({"schedules.first": 1}, TypeError, "join.schedules has no hyperparameter first"),
    ({"boundaries[0]": 1}, TypeError, "join.boundaries has no hyperparameter [0]"),
    (
        {"schedule.value": 1},
        TypeError,
        "join has no hyperparameter schedule; did you mean schedules?; it",
    ),
    ({"": 1}, TypeError, "join has no hyperparameter ; it has schedules, boundaries"),
    ({"schedules[0].shape.p": 1}, TypeError, "k_shape has no hyperparameter p; it has k"),
    (
        {"schedules[0].warmup_steps": 0.1},
        ValueError,
        "warmup: warmup_steps must be in steps as schedule.de",
    ),
]


@pytest.mark.parametrize(("changes", "kind", "words"), WRONG, ids=[next(iter(row[0])) for row in WRONG])
def test_a_path_that_leads_nowhere_is_refused_in_one_line(changes, kind, words):
    with pytest.raises(kind) as caught:
        SCHEDULE.replace(**changes)
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)
