"""The page of a report as a file: what it escapes, what it leaves out to stay small, and that it is the same again."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from bayescale.page import explore, figures, report
from tests.reports import BUDGET, HOSTILE, RUNS, fit_of, hostile_page, seen, written
from tests.reports import _unrefitted as _unrefitted
from tests.reports import undrawn as undrawn


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> str:
    """A page where whatever the data name is hostile, with its figures."""
    with pytest.MonkeyPatch.context() as patch:
        return hostile_page(tmp_path_factory.mktemp("hostile"), patch)


def test_nothing_from_the_data_gets_into_the_page_but_as_text(hostile):
    told = re.search(r'<script type="application/json" id="explored">(.*?)</script>', hostile, re.DOTALL)[1]
    assert not set("<>&'\u2028") & set(told)
    assert HOSTILE[0] in {one["name"] for one in json.loads(told)["cases"]}
    tags = Tags()
    tags.feed(hostile)
    names = [name for name, _ in tags.found]
    assert [name for name in names if name in ("script", "style")] == ["style", "script", "script"]
    assert not {"object", "iframe", "embed", "form", "base"} & set(names)
    assert names.count("svg") == 1  # that of the sliders
    assert not [
        a for _, attributes in tags.found for a, _ in attributes if a.startswith("on") or a == "style"
    ]
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", hostile, flags=re.DOTALL)
    for said in HOSTILE[:4]:
        assert html.escape(said).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in text


class Tags(HTMLParser):
    """The tags of a page with their attributes, as a browser finds them."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


def test_no_script_and_no_style_but_its_own_and_no_address(hostile):
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', hostile)[1])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", hostile, re.DOTALL)[1]
        own = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{own}'" in policy
        assert not re.search(r"\b(eval|Function|innerHTML|document\.write|insertAdjacentHTML)\b", text)
    tags = Tags()
    tags.feed(hostile)
    addresses = [v for _, attributes in tags.found for a, v in attributes if a in ("src", "href", "srcset")]
    assert all(address.startswith(("data:image/", "data:text/csv;", "#")) for address in addresses)
    images = [dict(attributes) for name, attributes in tags.found if name == "img"]
    # One has levels, the other no regret. Then the comparison.
    assert len(images) == 8 + 6 + 3
    assert all(len(one["alt"]) > 20 for one in images)
    assert len(hostile.encode()) < 4_000_000


def test_the_same_figure_is_the_same_bytes_and_its_letters_are_letters():
    def draw():
        figure = Figure()
        figure.subplots().set_title("$\\frac{$ \x01 \u202e 漢字")
        return figure

    one, two = (figures.image(draw, "", "") for _ in range(2))
    assert one == two
    assert base64.b64decode(one["light"].partition(",")[2]).startswith(b"<?xml")
    assert (one["width"], one["height"]) == (614, 461)  # 6.4 by 4.8 inches


def test_a_page_too_large_to_be_mailed_is_refused(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(report, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"the page would take 0\.\d MB; take fewer fits into one report"):
        report.report(fit_of(), tmp_path / "report.html", compute=BUDGET)
    assert not (tmp_path / "report.html").exists()


def test_figures_that_matter_less_are_left_out_of_a_page_that_would_be_too_large(tmp_path, monkeypatch):
    def drawn(draw, caption, alt):
        image = {"light": f"data:image/png;base64,{'A' * 100_000}", "dark": "data:,", "width": 9, "height": 9}
        return {**image, "caption": caption, "alt": alt}

    monkeypatch.setattr(figures, "image", drawn)
    fits = {name: fit_of() for name in "ab"}
    whole = written(fits, tmp_path, compute=BUDGET)
    assert whole.count("<img") == 14
    assert "<details>" in whole
    monkeypatch.setattr(report, "FOLDED", 1_400_000)
    some = written(fits, tmp_path, compute=BUDGET)
    assert (some.count("<img"), "<details>" in some) == (12, False)
    assert "2 more would make this page too large to be mailed; bayescale plot FIT --kind all" in seen(some)
    monkeypatch.setattr(report, "LARGEST", 1_000_000)
    few = written(fits, tmp_path, compute=BUDGET)
    assert few.count("<img") == 4
    assert "10 more would make" in seen(few)


def test_of_many_fits_fewer_figures_are_drawn(monkeypatch):
    monkeypatch.setattr(figures, "image", lambda draw, caption, alt: {})
    one = figures.figures({"a": fit_of(by="corpus")}, {"corpus": "x"}, {"a": (BUDGET, {})})
    many = figures.figures({name: fit_of() for name in "abcd"}, {}, {})
    assert (len(one), len(many)) == (8, 8)
    assert [f["folded"] for f in one].count(True) == 1


def test_what_cannot_be_drawn_is_said(tmp_path, monkeypatch):
    def nowhere(*_, **__):
        raise ValueError("the best split is nowhere")

    monkeypatch.setattr(figures, "image", nowhere)
    page = seen(written({"fit": fit_of()}, tmp_path, compute=BUDGET))
    assert (
        "Not drawn: fit: loss measured, and the law, with 90% bands, because the best split is nowhere."
        in page
    )


def test_letters_of_the_page_stand_out_from_what_they_are_on():
    css = (report.importlib.resources.files("bayescale.page") / "report.css").read_text()
    blocks = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in css.split(":root {")[1:]]
    assert len(blocks) == 3  # light, dark, print

    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for block in blocks:
        pairs = [(ink, on) for ink in ("ink", "soft", "accent") for on in ("paper", "panel")]
        pairs += [(one, f"{one}-panel") for one in ("severe", "warning", "note")]
        pairs += [(ink, f"{one}-panel") for ink in ("ink", "soft") for one in ("severe", "warning", "note")]
        for ink, on in pairs:
            high, low = sorted((light(block[ink]), light(block[on])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, on)  # WCAG 2.2, 1.4.3


def test_draws_are_thinned_evenly_and_packed_to_the_bit():
    assert explore.thinned(4000).tolist() == list(range(0, 4000, 8))
    assert explore.thinned(3).tolist() == [0, 1, 2]
    fit = fit_of(draws=1100)
    (case,) = explore.cases_of(fit, "one", {})
    packed = explore.packed(case)
    rows = np.frombuffer(base64.b64decode(packed["draws"])).reshape(packed["count"], packed["width"])
    np.testing.assert_array_equal(rows[:, 3], fit.flat("alpha")[explore.thinned(1100)])


def test_cases_are_those_asked_then_what_is_typical_then_each_level_if_they_are_few():
    fit = fit_of(by="corpus")
    assert [case.said for case in explore.cases_of(fit, "", {"corpus": "y"})] == [
        "for corpus y",
        "for a typical corpus",
        "for corpus x",
    ]
    many = RUNS.replace(levels={"corpus": tuple("abcdefghijklmnop")})
    assert [case.levels for case in explore.cases_of(fit_of(by="corpus", runs=many), "", {})] == [{}]
