"""Writes docs/coming-from.md: every schedule of the peers by its name there, and the same here.

The tables are those of the hints (`optax_sched.OneCycleLR` says its row): they are in
`optax_sched/_core/peers.toml`, and tests evaluate them against the peers. Run
`python docs/coming_from.py` after a change of them; a test compares the page.
"""

import re
from pathlib import Path

from optax_sched._core.peer_words import SAID, peers

PAGE = Path(__file__).with_name("coming-from.md")

HEAD = """\
# Coming from optax, torch, transformers, keras, timm and others

Each table below is for one library. Find your call in the left column. The right column is the call
that makes the same schedule here. It uses the parameter names of your library, so put your own numbers
in their place. `lr` is the rate that you gave to your optimizer. The third column says where the two
calls differ.

A test compares each row with the real library (`python -m pytest tests/peers/test_equivalents.py`), and
from DeepSpeed on with its formula (`tests/peers/test_formulas.py`). An error message tells you
the same, if you use a name from another library:

```python
import optax_sched

try:
    optax_sched.CosineAnnealingLR
except AttributeError as error:
    print(error)
```

```text
...is `cosine_decay(lr, T_max, eta_min)` here...
```

If you have a scheduler *object* of torch, transformers, keras or timm, or a schedule that optax made,
`optax_sched.porting.port` converts it with its settings. `print(port(scheduler))` prints the line to
paste into your script. If `port` cannot convert it exactly, it raises an error that names the reason.
`python examples/port_a_recipe.py` shows it.

Three conventions explain most differences:

* **Steps count from 0**, and a decay of `T` steps has its end value at `t = T`. torch's `OneCycleLR`
  and transformers' `..._with_warmup_lr_rate` end one step earlier.
* **A boundary belongs to the new piece**, as in torch and optax. In keras it belongs to the old piece.
  timm's milestones come one step early.
* **A length such as `warmup_steps` or `decay_steps` is that of its own phase.** Only `total_steps`
  counts everything. In optax, the `decay_steps` of `warmup_cosine_decay_schedule` counts the warm-up,
  too. In keras, the `decay_steps` of `CosineDecay` does not.

After its end a schedule here holds its last value. torch's and transformers' cosines rise again.

## A recipe, step by step

In torch, a warm-up and a cosine are two schedulers and a milestone:

```text
warm = LinearLR(optimizer, start_factor=0.01, total_iters=500)
fall = CosineAnnealingLR(optimizer, T_max=9_500, eta_min=1e-5)
scheduler = SequentialLR(optimizer, [warm, fall], milestones=[500])
```

Here they are one schedule. The whole run has `total_iters + T_max` steps, and both ends are rates, not
factors of a rate:

```python
from optax_sched import warmup_cosine_decay

lr = 1e-3  # what the torch optimizer was given
rate = warmup_cosine_decay(lr, 500, 500 + 9_500, init_value=0.01 * lr, end_value=1e-5)
print(f"{rate(0):.2e} {rate(500):.2e} {rate(10_000):.2e}")
```

```text
1.00e-05 1.00e-03 1.00e-05
```

Call `scheduler.step()` nowhere: the optimizer counts its updates.
"""

# What stands above the table of a library.
BEFORE = {
    "torch": "\nA `SequentialLR` of a warm-up and a decay is one schedule here: see\n"
    "[A recipe, step by step](#a-recipe-step-by-step).\n",
}

COMPOSED = """
## What has one name elsewhere, and is composed here

Peak `i`, end `e`, lengths `T`, `W`, `D`, a number of stairs `k`, a power `p`, any schedule `s`.

| elsewhere | here |
| --- | --- |
"""

# Elsewhere, and here.
COMPOSITIONS = (
    (
        "keras `PolynomialDecay(cycle=True)` to 0; to an end it is a sum",
        "join([i, multiply(repeat(shift(polynomial_decay(i, T, 0.0, p), 1), T), "
        "every(shift(power_law_decay(1.0, 1.0, -p), 1), T))], [1])",
    ),
    (
        "timm `poly` with cycles and k-decay",
        'repeat(k_decay(i, T, k, 0.0, "linear"), T, period_mult=2.0, value_mult=0.5)',
    ),
    (
        "warm-up at every restart: optax, levanter, ignite",
        "repeat(warmup(cosine_decay(i, T - W, e), W), T)",
    ),
    (
        "init2winit `cosine_echo`",
        "join([warmup_cosine_decay(i, W, T), warmup_cosine_decay(0.3 * i, W, T)], [T])",
    ),
    (
        "OLMo-core cosine, then a linear tail",
        "cooldown(warmup_cosine_decay(i, W, T, end_value=e), T - D, D)",
    ),
    ("OLMo-core half cosine", "quarter_cosine_decay(i, T, e)"),
    ("MaxText's tail of zeros", "join([s, 0.0], [T])"),
    (
        "DeepSpeed logarithmic warm-up",
        "warmup(s, W, shape=lambda x: jnp.log1p((W - 1) * x) / math.log(W))",
    ),
    ("quadratic warm-up: init2winit, mmdetection", "warmup(s, W, shape=lambda x: x**2)"),
    ("DeepSpeed staircased cycle", "every(stretch(cyclic(e, i, T), 1 / k), k)"),
    ("Megatron exponential WSD", "wsd(i, W, D, T, shape=lambda u: 2**u - 1)"),
    (
        "fairseq `tri_stage`, praxis `LinearRampupExponentialDecay`",
        "tri_stage(i, W, T - W - D, D)",
    ),
    (
        "torch `LambdaLR`, Paddle, ignite: any function",
        'schedule(lambda t, i: i * 0.95**t, name="mine")(i)',
    ),
    ("torch `CyclicLR(scale_fn)`", "multiply(cyclic(0.0, i, T), lambda t: 1 / (1 + t // (2 * T)))"),
    ("torch `MultiplicativeLR`: a recurrence", "table(i * np.cumprod([1.0, 0.9, 0.8, 0.9]))"),
    (
        "keras `CosineDecayRestarts` with m_mul and alpha: a sum",
        "cosine_restarts(i - e, T, 0.0, 2.0, 0.5) + e",
    ),
    ("the linear decay of BERT, flair, levanter", "warmup_linear_decay(i, W, T)"),
    ("cosine with a floor, MaxText, Megatron", "warmup_cosine_decay(i, W, T, end_value=e)"),
)

NAMES = """
## Names that no library owns

| said | here |
| --- | --- |
"""

WORDS = """
## Words

On the left stand names of parameters in other libraries. On the right stands what they are called
here; which of these names a builder has differs. Give a builder a name from the left, and the error
says which name on the right it takes. A factor of the rate, such as `min_lr_ratio`, is a rate here.

| theirs | here, one of |
| --- | --- |
"""


def page() -> str:
    """The whole page."""
    text = HEAD
    libraries = dict(peers().rows)
    said = libraries.pop(SAID)
    for peer, rows in libraries.items():
        text += f"\n## {peer}\n{BEFORE.get(peer, '')}\n"
        text += f"| {peer} | here | the difference |\n| --- | --- | --- |\n"
        for it in rows:
            cells = (f"`{it.name}({it.takes})`", f"`{it.here}`", it.differs)
            text += _row(cells)
    text += COMPOSED + "".join(_row((name, f"`{code}`")) for name, code in COMPOSITIONS)
    text += NAMES
    by_code: dict[str, list[str]] = {}
    for it in said:
        by_code.setdefault(it.here, []).append(f"`{it.name}`")
    for code, names in by_code.items():
        text += _row((", ".join(names), f"`{code}`"))
    meanings: dict[tuple[str, ...], list[str]] = {}
    for word, ours in peers().words.items():
        meanings.setdefault(ours, []).append(f"`{word}`")
    text += WORDS
    for ours, words in meanings.items():
        text += _row((", ".join(words), ", ".join(f"`{it}`" for it in ours)))
    return text


def _row(cells: tuple[str, ...]) -> str:
    # A bar ends a cell, even inside code.
    return "| " + " | ".join(re.sub(r"\|", r"\\|", cell) for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
