"""The page: fills page.html with the report's tables, drawings and images."""

from __future__ import annotations

import math
import string
from html import escape
from importlib import resources

from scenepress.files import readable_size
from scenepress.report import RatePoint, Report, ViewImages, charts, images, per_second

COLUMNS = (
    ("", "What made the file"),
    ("Size", "Bytes of the whole file"),
    ("Ratio", "Source bytes divided by these bytes"),
    ("B/splat", "Bytes per splat of the source"),
    ("PSNR", "dB, of the mean squared error over all views; higher is better"),
    ("SSIM", "Mean over views; 1 is best"),
    ("MS-SSIM", "Mean over views; 1 is best"),
    ("FLIP", "Perceived difference, mean over views; 0 is best"),
    ("SSIMULACRA2", "Mean over views; 90 is visually lossless, 100 is best"),
    ("Encode", "Seconds, and thousand splats per second"),
    ("Decode", "Seconds, and thousand splats per second"),
)


def render(report: Report) -> str:
    """The whole page as text. Needs no file beside it and no network."""
    subject = report.points[0]
    template = string.Template(_asset("page.html"))
    return template.substitute(
        style=_asset("style.css").replace("HEAT_GRADIENT", images.gradient()),
        script=_asset("script.js"),
        title=escape(report.title),
        subtitle=f"{report.splats:,} splats, SH degree {report.sh_degree}, "
        f"{readable_size(report.source_bytes)} as it came",
        tiles=_tiles(report, subject),
        table=_table(report),
        cameras=escape(report.cameras),
        rate=_rate(report, subject),
        curve=_section("Rate and distortion", _curve(report)),
        views=_views(report),
        per_view=_per_view(subject),
        producer=escape(report.producer),
    )


def _asset(name: str) -> str:
    return resources.files("scenepress.report").joinpath(name).read_text(encoding="utf-8")


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return '<span class="none" title="not measured">&ndash;</span>'
    return "equal" if math.isinf(value) else f"{value:.{digits}f}"


def _decibels(psnr: float) -> str:
    return "equal to the source" if math.isinf(psnr) else f"{psnr:.2f} dB"


def _tiles(report: Report, subject: RatePoint) -> str:
    decode = per_second(report.splats, subject.decode_seconds)
    tiles = [
        (
            "Smaller by",
            f"{report.source_bytes / subject.bytes:.1f}&times;",
            readable_size(subject.bytes),
        ),
        ("PSNR", _number(subject.quality.psnr, 2), "dB against the source"),
        ("SSIM", _number(subject.quality.ssim, 4), "1 means equal"),
    ]
    if report.splats:
        per_splat = subject.bytes / report.splats
        tiles.insert(1, ("Rate", f"{per_splat:.2f}", "bytes per splat"))
    if decode:
        tiles.append(("Decodes", f"{decode / 1e6:.2f} M", "splats per second"))
    return "".join(
        f'<div class="tile"><dt>{name}</dt><dd><b>{value}</b> <span>{note}</span></dd></div>'
        for name, value, note in tiles
    )


def _table(report: Report) -> str:
    head = "".join(f'<th scope="col" title="{why}">{name}</th>' for name, why in COLUMNS)
    rows = []
    for k, point in enumerate(report.points):
        quality = point.quality
        cells = [
            readable_size(point.bytes),
            f"{report.source_bytes / point.bytes:.2f}",
            f"{point.bytes / report.splats:.2f}" if report.splats else "&ndash;",
            _number(quality.psnr, 2),
            _number(quality.ssim, 4),
            _number(quality.ms_ssim, 4),
            _number(quality.flip, 4),
            _number(quality.ssimulacra2, 1),
            _time(report.splats, point.encode_seconds),
            _time(report.splats, point.decode_seconds),
        ]
        kind = "subject" if k == 0 else "peer" if point.peer else ""
        note = " <small>for comparison</small>" if point.peer else ""
        rows.append(
            f'<tr class="{kind}"><th scope="row">{escape(point.label)}{note}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _time(splats: int, seconds: float | None) -> str:
    rate = per_second(splats, seconds)
    note = f" <small>{rate / 1e3:,.0f} k/s</small>" if rate else ""
    return _number(seconds, 2 if seconds is None or seconds >= 0.1 else 3) + note


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _curve(report: Report) -> str:
    drawing = charts.rate_distortion(report.points, report.splats)
    return f"<figure>{drawing}</figure>" if drawing else ""


def _rate(report: Report, subject: RatePoint) -> str:
    if not report.rates:
        return ""
    body = (
        f"<div><h3>By what they describe</h3><p>Bytes of the {escape(subject.label)} file.</p>"
        f"<figure>{charts.stage_bars(report.rates, report.splats)}</figure></div>"
    )
    levels = charts.level_bars(report.rates)
    if levels:
        body += (
            "<div><h3>By level of detail</h3>"
            "<p>Level 0 is the coarsest and comes first. Same colours.</p>"
            f"<figure>{levels}</figure></div>"
        )
    body = f'<div class="columns">{body}</div>'
    return _section("Where the bytes go", body)


def _views(report: Report) -> str:
    if not report.images:
        return ""
    errors = [images.error(view.reference, view.test) for view in report.images]
    top = images.scale_top(errors)
    quality = {view.name: view for view in report.points[0].quality.views}
    rows = []
    for view, error in zip(report.images, errors, strict=True):
        pictures = (
            ("Source", images.data_uri(view.reference)),
            (report.points[0].label, images.data_uri(view.test)),
            ("Error", images.data_uri(images.heat(error, top))),
        )
        figures = "".join(_figure(view, name, uri) for name, uri in pictures)
        measured = quality.get(view.name)
        note = f" <small>{_decibels(measured.psnr)}</small>" if measured else ""
        rows.append(f'<div class="view"><h3>{escape(view.name)}{note}</h3><div>{figures}</div></div>')
    legend = (
        f'<p class="legend"><span>no error</span><span class="heat"></span>'
        f"<span>{top}/255 or more</span> per pixel, root mean square over the channels</p>"
    )
    return _section("Every view", legend + "".join(rows))


def _figure(view: ViewImages, name: str, uri: str) -> str:
    height, width = view.reference.shape[:2]
    caption = escape(name)
    return (
        f'<figure><img src="{uri}" width="{width}" height="{height}" '
        f'alt="{caption}, {escape(view.name)}"><figcaption>{caption}</figcaption></figure>'
    )


def _per_view(subject: RatePoint) -> str:
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("View", "Size", "PSNR", "SSIM", "MS-SSIM", "FLIP", "SSIMULACRA2", "LPIPS")
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(view.name)}</th><td>{view.width} &times; {view.height}</td>'
        + "".join(
            f"<td>{_number(value, digits)}</td>"
            for value, digits in (
                (view.psnr, 2), (view.ssim, 4), (view.ms_ssim, 4),
                (view.flip, 4), (view.ssimulacra2, 1), (view.lpips, 4),
            )
        )
        + "</tr>"
        for view in subject.quality.views
    )  # fmt: skip
    return f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
