"""The page on which a reader moves the numbers of a schedule: it draws what the library computes."""

import html
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import javascript
import numpy as np
import playground
import pytest

import optax_sched as o

pytestmark = pytest.mark.slow

NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
SHOWN = [
    *("cosine_decay", "polynomial_decay", "multistep_decay", "piecewise_cubic", "cosine_restarts"),
    *("one_cycle", "wsd", "infinite", "repeat", "tanh_decay"),
]


@pytest.fixture(scope="module")
def entries() -> list[playground.Entry]:
    return playground.entries()


@pytest.fixture(scope="module")
def page(entries, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("playground") / "playground.html"
    file.write_text(playground.page(entries), encoding="utf-8")
    return file


def drawn_numbers(entry: playground.Entry, seed: int) -> list[float]:
    """Random settings inside the sliders' ranges."""
    draw = random.Random(f"{entry.name} {seed}")
    return [
        draw.randint(int(it.low), int(it.high)) if it.whole else round(draw.uniform(it.low, it.high), 4)
        for it in entry.numbers
    ]


def test_every_builder_is_there_but_those_that_are_named(entries):
    families = [name for names in playground.gallery.families().values() for name in names]
    assert {entry.name for entry in entries} == set(families) - playground.LEFT_OUT


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_translated_programs_equal_the_library(entries):
    """At random settings, at every step of the chart: within 1e-5 of the height."""
    programs, wanted = [], []
    for entry in entries:
        values = drawn_numbers(entry, 1)
        steps = np.arange(0, entry.steps + 100, max(entry.steps // 100, 1), dtype=np.int32)
        rest = [np.float32(value).item() for value in values]
        given = [[rest.pop(0) for _ in range(size)] if size else rest.pop(0) for size in entry.sizes]
        programs.append(
            f"{steps.tolist()}.map(step => ({entry.program})(step, ...{json.dumps(given)}))"
        )
        wanted.append(np.asarray(o.from_source(entry.text(values))(steps), np.float64))
    script = f"{javascript.RUNTIME}console.log(JSON.stringify([{','.join(programs)}]))"
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=script, capture_output=True, encoding="utf-8", check=True)
    for entry, got, want in zip(entries, json.loads(done.stdout), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * want.max(), err_msg=entry.name)


def test_the_page_is_small_and_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//|@import|fetch\(|url\(""", text)


def dumped(page: Path, script: str, *options: str) -> dict:
    """What a script that is added to the page puts into `result`, in a browser without a network."""
    text = page.read_text(encoding="utf-8")
    report = (
        "document.body.prepend(element('pre', {id: 'result', textContent: JSON.stringify(result)}));"
    )
    report = f"<script>{script}\n{report}</script></body>"
    changed = page.with_name("changed.html")
    changed.write_text(text.replace("</body>", report), encoding="utf-8")
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *offline, *options, "--dump-dom"]
    done = subprocess.run(
        [*map(str, command), changed.as_uri()],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    (result,) = re.findall(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(html.unescape(result))


@in_a_browser
def test_the_drawn_points_equal_the_library(page, entries):
    """Ten builders at other settings than the defaults, two at a time: within 1e-3 of the height."""
    chosen = [next(entry for entry in entries if entry.name == name) for name in SHOWN]
    settings = [drawn_numbers(entry, 2) for entry in chosen]
    parts = [
        ",".join(quote(str(item)) for item in (entry.name, entry.choice, *values))
        for entry, values in zip(chosen, settings, strict=True)
    ]
    hashes = [f"#{a};{b}" for a, b in zip(parts[::2], parts[1::2], strict=True)]
    result = dumped(
        page,
        f"""const result = [];
        for (const hash of {json.dumps(hashes)}) {{
          history.replaceState(null, "", hash);
          state.a = state.b = null;
          restore();
          setLast(1000);
          draw();
          for (const side of ["a", "b"]) result.push({{
            points: document.querySelector("polyline." + side).getAttribute("points"),
            ticks: [...document.querySelectorAll("text")].map(
              t => [t.textContent, t.getAttribute("y")]),
            source: byId(side + "-source").textContent,
            look: valuesAt(state[side], [state.look])[0],
          }});
        }}""",
    )
    for (entry, values), shown in zip(zip(chosen, settings, strict=True), result, strict=True):
        assert shown["source"] == entry.text(values)
        schedule = o.from_source(shown["source"])
        x, y = np.array([point.split(",") for point in shown["points"].split()], np.float64).T
        steps = np.rint((x - 60) / 730 * 1000).astype(np.int32)
        heights = {float(y): float(text) for text, y in shown["ticks"] if float(y) < 320}
        low, high = heights[314.0], heights[24.0]
        drawn = low + (310 - y) / 290 * (high - low)
        want = np.asarray(schedule(steps), np.float64)
        # The labels of the axis have four digits.
        assert np.abs(drawn - want).max() < 1e-3 * high, entry.name
        np.testing.assert_allclose(shown["look"], schedule(250), rtol=1e-5)


@in_a_browser
def test_it_works_with_the_keyboard(page):
    """Every control takes the focus and has a name; a change of a slider changes curve and code."""
    result = dumped(
        page,
        """const controls = [...document.querySelectorAll("input, select, button, a")];
        const range = document.querySelector("#a input[type=range]");
        const shown = () => document.querySelector("polyline.a").getAttribute("points");
        const before = [shown(), byId("a-source").textContent];
        range.focus();
        range.stepDown(20);
        range.dispatchEvent(new Event("input"));
        const result = {
          reachable: controls.every(it => it.tabIndex === 0),
          named: controls.every(it => it.closest("label") || it.ariaLabel || it.textContent),
          count: controls.length,
          focused: document.activeElement === range,
          moved: shown() !== before[0],
          written: byId("a-source").textContent !== before[1],
          field: range.nextSibling.value === range.value,
        };
        const field = range.nextSibling; // which takes numbers between those of the slider
        field.value = (Number(range.min) + 0.12345 * (range.max - range.min)).toPrecision(4);
        const typed = field.value;
        for (const event of ["input", "change"]) field.dispatchEvent(new Event(event));
        result.kept = field.value === typed && byId("a-source").textContent.includes(typed);
        byId("b-name").value = String(named("wsd"));
        byId("b-name").dispatchEvent(new Event("change"));
        result.compared = document.querySelectorAll("polyline").length;""",
    )
    assert result.pop("count") > 10 and result.pop("compared") == 2
    assert all(result.values()), result


@in_a_browser
def test_it_fits_a_narrow_screen(page):
    result = dumped(
        page,
        """choose("b", named("wsd"));
        document.body.style.width = "340px";
        const wide = [...document.body.querySelectorAll("*")].filter(
          it => it.getBoundingClientRect().right > document.body.getBoundingClientRect().right + 1);
        const result = wide.map(it => it.tagName + " " + it.className);""",
        "--window-size=500,900",
    )
    assert result == []
