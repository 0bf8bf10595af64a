"""Pictures of the held-out images: the surest mistakes, where the best two models disagree, where a network looks."""

from __future__ import annotations

import base64
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from imgtool.classifiers.network import NetworkClassifier
from imgtool.errors import ImgtoolError
from imgtool.evaluation.mistakes import surest_mistakes
from imgtool.evaluation.report.drawing import shortened, symbol
from imgtool.evaluation.report.markup import Html, join, section, tag
from imgtool.evaluation.report.subject import Model, Subject
from imgtool.evaluation.report.wording import counted
from imgtool.image.resize import resize
from imgtool.image.sheet import to_viewable
from imgtool.image.write import encode

if TYPE_CHECKING:
    from imgtool.classifiers.grad_cam import GradCam

MISTAKES, DISAGREEMENTS, HEAT_PICTURES = 12, 12, 6
SIDE_PIXELS = 176  # of a picture, at most
NAME_PIXELS = 140  # of a model's name under a picture
TINY_PIXELS = 64  # up to which a picture is shown as it is, its pixels as squares
QUALITY = 82  # of JPEG


def mistakes_section(subject: Subject) -> Html:
    """Return the mistakes of which the best model is surest."""
    if not subject.good or subject.good[0].hits.all():
        return Html()
    best = subject.good[0]
    surest = surest_mistakes(best.scored, MISTAKES)
    figures = [_mistake(subject, best, index) for index in surest]
    wrong = best.scored.wrong
    which = f"{len(surest)} of the {wrong} mistakes" if len(surest) < wrong else "All mistakes"
    note = f"{which} of {best.name}, those of which it is surest first."
    return section("The surest mistakes", tag("p", note, class_="note"), tag("div", *figures, class_="pictures"))


def disagreements_section(subject: Subject) -> Html:
    """Return images of which the best two models say different classes, those of which both are sure first."""
    if len(subject.good) < 2:
        return Html()
    one, other = subject.good[:2]
    names = np.array([np.array(model.scored.classes, object)[model.said] for model in (one, other)])
    differ = np.flatnonzero(names[0] != names[1])
    if not len(differ):
        return section("Where the best two disagree", tag("p", f"{one.name} and {other.name} agree on every image."))
    sure = np.minimum(one.sure, other.sure)[differ]
    chosen = differ[np.argsort(-sure, kind="stable")][:DISAGREEMENTS]
    figures = [_disagreement(subject, one, other, int(index)) for index in chosen]
    only = [int((first.hits & ~second.hits).sum()) for first, second in ((one, other), (other, one))]
    note = (
        f"{one.name} and {other.name} say different classes of {len(differ)} of {len(subject.labels)} images: "
        f"{counted(only[0], 'time')} only {one.name} is right, {counted(only[1], 'time')} only {other.name}, "
        f"{counted(len(differ) - sum(only), 'time')} neither."
    )
    return section(
        "Where the best two disagree", tag("p", note, class_="note"), tag("div", *figures, class_="pictures")
    )


def heat_section(subject: Subject) -> Html:
    """Return where the best network that is at hand looks, by Grad-CAM, of its surest mistakes."""
    found = ((model, cam) for model in subject.good if (cam := _cam_of(subject, model)))
    network, cam = next(found, (None, None))
    if network is None or cam is None or subject.comparison.images is None:
        return Html()
    right = np.flatnonzero(network.hits)
    order = [*surest_mistakes(network.scored, HEAT_PICTURES), *right[np.argsort(-network.sure[right])]]
    figures = [_heat(subject, network, cam, int(index)) for index in order[:HEAT_PICTURES]]
    note = (
        f"Grad-CAM of {network.name} where it is surest, mistakes first: the brighter a place, the more it speaks for "
        "what the network says. Dark at the border is what the network does not see."
    )
    return section("Where the network looks", tag("p", note, class_="note"),
                   tag("div", *filter(None, figures), class_="pictures pairs"))  # fmt: skip


def _mistake(subject: Subject, model: Model, index: int) -> Html:
    """Return one image with what it was taken for and what it is."""
    return _figure(subject, index, join([_answer(model, index, "said"), _truth(subject, index)]))


def _disagreement(subject: Subject, one: Model, other: Model, index: int) -> Html:
    """Return one image with what two models say of it and what it is."""
    return _figure(subject, index, join([_answer(one, index), _answer(other, index), _truth(subject, index)]))


def _answer(model: Model, index: int, name: str = "") -> Html:
    """Return what a model says of an image, and how surely."""
    who = name or join([symbol(model.number), tag("bdi", shortened(model.name, NAME_PIXELS))])
    return tag("div", who, ": ", tag("b", tag("bdi", model.says(index))), " ", _sure(model, index))


def _sure(model: Model, index: int) -> Html:
    """Return how sure a model is, its number and the sign never in two lines."""
    return tag("span", f"{100 * model.sure[index]:.0f} %", class_="whole")


def _truth(subject: Subject, index: int) -> Html:
    """Return what an image is."""
    return tag("div", "is: ", tag("b", tag("bdi", subject.classes[subject.labels[index]])))


def _figure(subject: Subject, index: int, caption: Html) -> Html:
    """Return an image, its name, and what is said of it."""
    name = _name(subject, index)
    return tag("figure", _picture(_image(subject, index), name), tag("figcaption", caption, _small(name)))


def _small(name: str) -> Html:
    """Return a file's name under its picture; what a folder is called stands there as a class already."""
    return tag("div", tag("bdi", PurePath(name).name or name), class_="small") if name else Html()


def _name(subject: Subject, index: int) -> str:
    """Return the name of an image, "" where it has none."""
    return subject.comparison.paths[index] if index < len(subject.comparison.paths) else ""


def _image(subject: Subject, index: int) -> np.ndarray | None:
    """Return an image; None where it cannot be had (any more)."""
    try:
        return None if subject.comparison.images is None else subject.comparison.images(index)
    except (ImgtoolError, OSError):
        return None


def _picture(image: np.ndarray | None, name: str) -> Html:
    """Return an image, small, within the page; nothing where there is none."""
    if image is None or image.ndim < 2:
        return Html()
    view = to_viewable(image)
    longest = max(view.shape[:2])
    if longest <= TINY_PIXELS:
        return _embedded(encode(view, "png"), "png", name, "pixels")
    return _embedded(encode(_shrunk(view, SIDE_PIXELS), "jpeg", quality=QUALITY), "jpeg", name)


def _shrunk(view: np.ndarray, side: int) -> np.ndarray:
    """Return a picture of which no side is longer."""
    longest = max(view.shape[:2])
    if longest <= side:
        return view
    return resize(view, *(max(1, round(length * side / longest)) for length in view.shape[:2]))


def _embedded(data: bytes, format: str, name: str, kind: str | None = None) -> Html:
    """Return a picture whose bytes stand in the page."""
    address = f"data:image/{format};base64,{base64.b64encode(data).decode()}"
    return tag("img", src=address, alt=name, class_=kind)


def _cam_of(subject: Subject, model: Model) -> GradCam | None:
    """Return what says where a network looks; None for other models, and for networks without feature maps."""
    from imgtool.classifiers.grad_cam import GradCam

    try:
        fitted = subject.comparison.models.get(model.name)  # which may have to be opened
        return GradCam(fitted) if isinstance(fitted, NetworkClassifier) else None
    except ImgtoolError:
        return None


def _heat(subject: Subject, model: Model, cam: GradCam, index: int) -> Html:
    """Return one image, and beside it what speaks for what the network says of it; nothing where that cannot be had."""
    image = _image(subject, index)
    if image is None or image.ndim < 2:
        return Html()
    said = model.scored.predictions.classes.index(model.says(index))  # its place among all classes of the network
    view = _shrunk(to_viewable(image), SIDE_PIXELS)
    try:
        heat = _heat_over(view, cam, cam.model.prepare(image), said)
    except ImgtoolError:
        return Html()
    name = _name(subject, index)
    pictures = (_picture(view, name), _picture(heat, f"heat over {name}"))
    caption = tag("figcaption", _answer(model, index, "said"), _truth(subject, index), _small(name))
    return tag("figure", tag("div", *pictures, class_="pair"), caption)


def _heat_over(view: np.ndarray, cam: GradCam, square: np.ndarray, said: int) -> np.ndarray:
    """Return a picture with heat where it speaks for a class; square: the same as the network takes it."""
    from imgtool.networks.drawing import heat_picture

    heat = cam.spread(cam.of_prepared(square, said), *view.shape[:2])
    both = heat_picture(view, heat, cam.model.preprocessing.window(*view.shape[:2]))
    return both[:, -view.shape[1] :]
