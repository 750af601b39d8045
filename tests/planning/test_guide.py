"""`docs/planning.md`: its blocks print what stands there."""

import doctest
import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/planning.md"


def test_the_blocks_of_the_guide_print_what_stands_there():
    text = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 6
    # A line that ends in a backslash goes on in the next.
    code = "".join(blocks).replace("\\\n", "")
    test = doctest.DocTestParser().get_doctest(code, {}, "planning.md", str(GUIDE), 0)
    failed, tried = doctest.DocTestRunner().run(test)
    assert not failed and tried > 20
