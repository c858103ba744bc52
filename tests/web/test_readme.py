"""README.md's JavaScript prints in a page what it says."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
SHOWN = re.compile(r"^```javascript\n(.*?)^```\n\n```text\n(.*?)^```$", re.M | re.S)
IMPORT = re.compile(r"^import (\{.*?\}) from \"\./(.*?)\";$", re.M)


def test_its_programs_print_what_it_says(browser, server):
    from conftest import Page

    programs = SHOWN.findall(README.read_text())
    assert len(programs) == README.read_text().count("```javascript") >= 2
    for program, expected in programs:
        page = Page(browser, server).open("blank.html")
        script = IMPORT.sub(r'const \1 = await import("/\2");', program)
        lines = page.run(f"""
            const lines = [];
            const console = {{ log: (...values) => lines.push(values.map(shown)) }};
            const shown = (value) => Array.isArray(value)
                ? `[${{value.join(", ")}}]` : String(value);
            {script}
            return lines.map((line) => line.join(" "));
        """)
        assert lines == expected.splitlines()
        page.close()
