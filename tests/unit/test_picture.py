from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tests.bench.picture import HIGH, LEFT, TOP, WIDE, Panel, picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels: Panel) -> ET.Element:
    return ET.fromstring(picture("Growth", "jobs", panels))  # noqa: S314 - our own text


def spots(root: ET.Element) -> list[tuple[float, float]]:
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]


def test_a_curve_goes_from_edge_to_edge_and_a_power_of_ten_takes_the_same_room() -> None:
    root = drawn(Panel("jobs/s", {"a": [(10, 50.0), (100, 100.0), (1_000, 0.0)]}))
    across, height = zip(*spots(root), strict=True)
    assert across == (LEFT, LEFT + WIDE / 2, LEFT + WIDE)
    assert height == (TOP + HIGH / 2, TOP, TOP + HIGH)


def test_the_axis_has_room_for_the_highest_value_and_says_its_numbers() -> None:
    root = drawn(Panel("jobs/s", {"a": [(10_000, 87_000.0), (10_000_000, 42_000.0)]}))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"0", "50k", "100k", "10k", "10M", "jobs", "jobs/s", "Growth"} <= set(texts)
    assert all(TOP <= y <= TOP + HIGH for _, y in spots(root))


def test_one_point_alone_is_drawn() -> None:
    assert len(spots(drawn(Panel("MB", {"a": [(12, 3.0)]})))) == 1


def test_curves_of_one_panel_differ_in_colour_and_are_named() -> None:
    panel = Panel("MB", {"at work": [(1, 1.0), (10, 2.0)], "peak": [(1, 2.0), (10, 3.0)]})
    text = picture("Growth", "jobs", [panel, panel])
    assert len(set(re.findall(r'stroke="(#\w{6})" stroke-width', text))) == 2
    assert text.count(">at work<") == text.count(">peak<") == 2
