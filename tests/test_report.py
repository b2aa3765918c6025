"""The report: self-contained, well formed, and its twin says the same."""

import dataclasses
import html.parser
import json
import math
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from scenepress import report
from scenepress.files import readable_size
from scenepress.inspection import Rate, by_stage
from scenepress.quality import Comparison, ViewQuality
from scenepress.report import charts, images


def point(label: str, size: int, mse: float, peer: bool = False) -> report.RatePoint:
    view = ViewQuality(name="front", width=64, height=48, mse=mse, ssim=0.98)
    return report.RatePoint(label, size, Comparison((view,)), 1.5, 0.02, peer)


def example() -> report.Report:
    rng = np.random.default_rng(0)
    reference = rng.random((48, 64, 3)).astype(np.float32)
    test = np.clip(reference + 0.02, 0, 1)
    return report.Report(
        title='a <b>bold</b> & "quoted" name $.ply',
        source_bytes=1_000_000,
        splats=4_000,
        sh_degree=3,
        cameras="One camera.",
        points=(
            point("balanced", 40_000, 1e-4),
            point("tiny", 15_000, 1e-3),
            point("spz", 80_000, 2e-4, peer=True),
        ),
        rates=(
            *(
                Rate(stage, level, 1, 100 * (k + 1))
                for k, stage in enumerate(("position", "sh", "colour"))
                for level in (0, 1)
            ),
            Rate("container", None, 1, 50),
        ),
        images=(report.ViewImages("front", reference, test),),
    )


class Checker(html.parser.HTMLParser):
    """Collects what a page refers to, and checks that its elements nest."""

    VOID = frozenset({"meta", "img", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.references += [v for k, v in attributes if k in ("src", "href", "srcset", "data") and v]
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    page, _ = report.write(example(), tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    checker = checked(text)
    assert len(checker.references) == 3
    assert all(reference.startswith("data:image/") for reference in checker.references)
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp", re.sub(r"data:image[^\"]*", "", text))
    assert "default-src 'none'" in text


def test_names_are_shown_as_text(tmp_path: Path) -> None:
    text = report.write(example(), tmp_path / "report.html")[0].read_text(encoding="utf-8")
    assert "<b>bold</b>" not in text
    assert example().title in "".join(checked(text).text)


def test_every_image_says_what_it_shows(tmp_path: Path) -> None:
    text = report.write(example(), tmp_path / "report.html")[0].read_text(encoding="utf-8")
    shown = [image for image in checked(text).images if image.get("src")]
    assert [image["alt"] for image in shown] == ["Source, front", "balanced, front", "Error, front"]
    assert all(image["width"] == "64" and image["height"] == "48" for image in shown)


def test_the_twin_has_the_same_numbers(tmp_path: Path) -> None:
    page, twin = report.write(example(), tmp_path / "report.html")
    assert twin == tmp_path / "report.json"
    values = json.loads(twin.read_text())
    first = values["points"][0]
    assert first["ratio"] == 25
    assert first["bytes_per_splat"] == 10
    assert first["decode_splats_per_second"] == 200_000
    assert first["quality"]["psnr"] == pytest.approx(40)
    assert first["quality"]["views"][0]["name"] == "front"
    assert sum(rate["bytes"] for rate in values["rates"]) == 1250
    text = page.read_text(encoding="utf-8")
    for shown in ("25.00", "10.00", "40.00", "0.9800", "200 k/s", "40.0 kB", "spz"):
        assert shown in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_equal_images_stay_valid_json(tmp_path: Path) -> None:
    lossless = dataclasses.replace(example(), points=(point("lossless", 500_000, 0.0),))
    page, twin = report.write(lossless, tmp_path / "report.html")
    values = json.loads(twin.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert values["points"][0]["quality"]["psnr"] is None
    assert values["points"][0]["quality"]["views"][0]["mse"] == 0
    text = page.read_text(encoding="utf-8")
    assert ">equal<" in text
    assert "inf" not in "".join(checked(text).text).lower().split()


def test_a_report_without_images_or_rates_is_whole(tmp_path: Path) -> None:
    bare = dataclasses.replace(example(), images=(), rates=(), points=example().points[:1], splats=0)
    text = report.write(bare, tmp_path / "r.html")[0].read_text(encoding="utf-8")
    assert "Every view" not in "".join(checked(text).text)
    assert "Where the bytes go" not in text


def test_an_unwritable_report_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        report.write(example(), tmp_path / "missing" / "r.html")
    with pytest.raises(ValueError, match="suffix"):
        report.write(example(), tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_stage_bars_are_sorted_and_complete() -> None:
    totals = by_stage(example().rates)
    assert totals == {"colour": 600, "sh": 400, "position": 200, "container": 50}
    assert list(totals) == ["colour", "sh", "position", "container"]
    drawing = charts.stage_bars(example().rates, 100)
    assert "48.0 %" in drawing
    assert "6.00 B/splat" in drawing


def test_the_curve_joins_our_rates_and_leaves_peers_alone() -> None:
    drawing = charts.rate_distortion(example().points, 4000)
    line = re.search(r'polyline[^>]*points="([^"]*)"', drawing)
    assert line is not None
    assert len(line[1].split()) == 2
    assert drawing.count("<circle") == 2
    assert drawing.count('class="peer"') == 1
    assert charts.rate_distortion(example().points[:1], 4000) == ""
    equal = (point("lossless", 9, 0.0), point("balanced", 5, 0.1))
    assert math.isinf(equal[0].quality.psnr)
    assert charts.rate_distortion(equal, 4000) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (99_960, "100 kB"),
        (12_345_678, "12.3 MB"),
        (5e9, "5.00 GB"),
    ],
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert readable_size(count) == text


def test_error_maps_share_a_scale_and_saturate() -> None:
    reference = np.zeros((10, 10, 3), np.float32)
    test = reference.copy()
    test[0] = 10 / 255
    error = images.error(reference, test)
    assert error[0, 0] == pytest.approx(10 / 255)
    assert images.scale_top([error]) == 16
    assert images.scale_top([np.ones((4, 4), np.float32)]) == 255
    colours = images.heat(error, 10)
    np.testing.assert_array_equal(colours[0, 0], images.STOPS[-1])
    np.testing.assert_array_equal(colours[5, 5], images.STOPS[0])
    brightness = images.heat(np.linspace(0, 1, 256, dtype=np.float32)[None], 255)[0] @ [0.3, 0.6, 0.1]
    assert (np.diff(brightness) >= 0).all()


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2)."""
    channels = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_bars_stand_out_in_light_and_dark() -> None:
    style = resources.files("scenepress.report").joinpath("style.css").read_text()
    themes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r"\{[^{}]*--page:[^{}]*\}", style)
    ]
    assert len(themes) == 3
    assert themes[1] == themes[2]  # Dark by choice and dark by preference.
    for theme in themes:
        for paper in ("page", "card"):
            assert contrast(theme["ink"], theme[paper]) >= 7
            assert contrast(theme["soft"], theme[paper]) >= 4.5
        for name in ("rest", *(f"c{k}" for k in range(charts.COLOURS))):
            assert contrast(theme[name], theme["card"]) >= 3, name
        assert contrast(theme["accent"], theme["card"]) >= 3


def test_a_browser_shows_the_slider(tmp_path: Path) -> None:
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser is None:
        pytest.skip("no Chromium to look at the page with")
    page, _ = report.write(example(), tmp_path / "report.html")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
    ]
    shown = subprocess.run(
        [browser, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60
    )
    assert (
        "CONSOLE" not in shown.stderr
    )  # Script errors, and requests that the page's own policy refused.
    assert '<section id="closer">' in shown.stdout
    assert 'aria-pressed="true"' in shown.stdout
    assert re.search(r'id="theme"[^>]*>(Light|Dark)<', shown.stdout)
