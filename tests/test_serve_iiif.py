"""The IIIF Image API 3: what an address means, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from planish.serve.iiifrequest import ImageRequest
from planish.serve.responses import Problem
from served import HEIGHT, TILE, WIDTH, Served, slides

FULL = (WIDTH, HEIGHT)


@pytest.fixture
def id_(tmp_path: Path) -> str:
    return slides(tmp_path / "in", "a.svs")[0]


@pytest.fixture
def service(tmp_path: Path, id_: str) -> Served:
    return Served(tmp_path / "in")


def meant(region: str = "full", size: str = "max", rotation: str = "0", last: str = "default.jpg") -> ImageRequest:
    return ImageRequest.of(region, size, rotation, last, FULL)


@pytest.mark.parametrize(
    ("region", "box"),
    [("full", (0, 0, 1000, 700)), ("square", (150, 0, 700, 700)), ("10,20,30,40", (10, 20, 30, 40)),
     ("900,600,500,500", (900, 600, 100, 100)), ("pct:10,10,50,50", (100, 70, 500, 350)),
     ("pct:0,0,33.35,100", (0, 0, 334, 700)), ("999,699,1,1", (999, 699, 1, 1))],
)  # fmt: skip
def test_regions(region: str, box: tuple[int, ...]) -> None:
    assert meant(region).box == box


@pytest.mark.parametrize(
    ("size", "made"),
    [("max", (1000, 700)), ("500,", (500, 350)), (",350", (500, 350)), ("pct:50", (500, 350)), ("100,600", (100, 600)),
     ("!500,500", (500, 350)), ("!2000,350", (500, 350)), ("^2000,", (2000, 1400)), ("^pct:200", (2000, 1400)),
     ("^!2000,3000", (2000, 1400)), ("^max", (4096, 2867)), ("1,", (1, 1)), ("pct:100", (1000, 700))],
)  # fmt: skip
def test_sizes(size: str, made: tuple[int, int]) -> None:
    request = meant(size=size)
    assert (request.width, request.height) == made


@pytest.mark.parametrize(
    ("region", "size", "rotation", "last"),
    [(region, "max", "0", "default.jpg") for region in (
        "", "all", "1,2,3", "1,2,0,4", "1000,0,5,5", "-1,0,5,5", "nan,0,1,1", "1e1,0,9,9", "pct:1,1,0,5",
        "pct:nan,0,1,1", "pct:101,0,1,1", "1,2,3,4,5", "9999999999,0,1,1", "pct:", "0,0,1.5,1")]
    + [("full", size, "0", "default.jpg") for size in (
        "", "full", ",", "0,", ",0", "!5,", "!,5", "!0,5", "pct:0", "pct:101", "pct:-5", "pct:inf", "2000,", ",701",
        "1001,700", "!2000,3000", "^5000,", "^pct:9999", "^", "max^", "5")]
    + [("full", "max", rotation, "default.jpg") for rotation in ("", "45", "-90", "360", "!", "90.5", "nan", "!!0")]
    + [("full", "max", "0", last) for last in (
        "default", "default.tif", "default.", ".jpg", "blue.jpg", "default.jpg.png", "default.JPG")],
)  # fmt: skip
def test_what_means_nothing_is_400(region: str, size: str, rotation: str, last: str) -> None:
    with pytest.raises(Problem) as caught:
        meant(region, size, rotation, last)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("pieces", "canonical"),
    [(("full", "1000,700", "0", "color.jpg"), "full/max/0/default.jpg"),
     (("0,0,1000,700", "pct:50", "!90", "gray.png"), "full/500,350/!90/gray.png"),
     (("pct:50,50,100,100", "max", "180.0", "default.jpg"), "500,350,500,350/max/180/default.jpg"),
     (("full", "^2000,", "0", "default.jpg"), "full/^2000,1400/0/default.jpg")],
)  # fmt: skip
def test_all_addresses_of_a_picture_have_one_canonical_one(pieces: tuple[str, str, str, str], canonical: str) -> None:
    assert meant(*pieces).canonical == canonical
    assert meant(*canonical.split("/")).canonical == canonical


def test_the_description(service: Served, id_: str) -> None:
    told = service.ask(f"/iiif/{id_}@1/info.json")
    info = told.json
    assert told.headers["content-type"] == "application/json"
    assert info["id"] == f"http://slides.test/iiif/{id_}@1"
    assert (info["width"], info["height"], info["profile"], info["type"]) == (WIDTH, HEIGHT, "level2", "ImageService3")
    assert info["tiles"] == [{"width": TILE, "height": TILE, "scaleFactors": [1, 2, 4]}]
    assert info["sizes"] == [{"width": w, "height": h} for w, h in ((250, 175), (500, 350), (1000, 700))]
    linked = service.ask(f"/iiif/{id_}@1/info.json", {"accept": "application/ld+json"})
    assert linked.headers["content-type"].startswith("application/ld+json")
    assert linked.headers["vary"] == "Accept"


def test_the_base_leads_to_the_description(service: Served, id_: str) -> None:
    told = service.ask(f"/iiif/{id_}%40z=1")
    assert (told.status, told.headers["location"]) == (303, f"http://slides.test/iiif/{id_}@z=1/info.json")


def test_a_wrong_host_goes_nowhere(tmp_path: Path, id_: str) -> None:
    told = Served(tmp_path / "in", hosts=("*",)).ask(f"/iiif/{id_}@0", {"host": "evil.example>; rel=x"})
    assert told.headers["location"].startswith("http://slides.test:80/")


def test_a_picture(service: Served, id_: str) -> None:
    told = service.ask(f"/iiif/{id_}@2/10,20,300,200/150,/!90/gray.png")
    asked = told.json
    assert told.headers["content-type"] == "image/png"
    assert (
        f'<http://slides.test/iiif/{id_}@2/10,20,300,200/150,100/!90/gray.png>;rel="canonical"' in told.headers["link"]
    )
    assert asked["subject"]["plane"] == 2
    assert [asked[key] for key in ("x", "y", "width", "height", "out_width", "out_height")] == [
        10,
        20,
        300,
        200,
        150,
        100,
    ]
    assert [asked[key] for key in ("quality", "rotation", "mirror", "format")] == ["gray", 90, True, "png"]
    again = service.ask(f"/iiif/{id_}@2/10,20,300,200/pct:50/!90/gray.png", {"if-none-match": told.headers["etag"]})
    assert again.status == 304


@pytest.mark.parametrize("image", ["0123456789abcdef@0", "a/b", "[frob]", "{id}", "{id}@9", "{id}@nan", "{id}@"])
def test_unknown_images_are_not_found(service: Served, id_: str, image: str) -> None:
    path = f"/iiif/{image.replace('{id}', id_)}"
    assert service.ask(f"{path}/info.json").status == 404
    assert service.ask(f"{path}/full/max/0/default.jpg").status == 404
