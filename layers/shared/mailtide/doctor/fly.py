"""Fly's side: the token, the app, the image."""

import re

from mailtide.doctor.facts import FlyApp
from mailtide.doctor.finding import Finding, broken, ok, warning
from mailtide.errors import FlyError, MailtideError, NotFoundError, TransientError

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def token_check(name: str, app: FlyApp | None, secret: str) -> Finding:
    """Whether the token that the functions use opens the app. app: None when there is no token."""
    if app is None:
        todo = f"aws secretsmanager create-secret --name {secret} --secret-string TOKEN (fly tokens create deploy)"
        return broken("fly token", name, f"The secret {secret} with Fly's token is missing or empty.", todo)
    try:
        count = app.machines()
    except NotFoundError:
        what = f"Fly knows no app {name}, or the token is another organisation's."
        return broken("fly token", name, what, f"fly apps create {name}, or deploy with the right FlyApp")
    except TransientError as error:
        return warning("fly token", name, f"Fly does not answer ({error}).", "look again later; status.flyio.net")
    except FlyError as error:
        what = f"Fly refuses the token ({error})."
        return broken(
            "fly token", name, what, f"make a new one (fly tokens create deploy -a {name}) and put it into {secret}"
        )
    return ok("fly token", f"It opens the app {name}, which has {count} machines now.")


def image_check(image: str, app: FlyApp | None) -> Finding:
    """Whether the image is set, pinned, and in the registry as far as that tells."""
    if not image:
        return broken("image", "", "No image of the machines is set.", "make image, then deploy with MachineImage")
    try:
        there = app.has_image(image) if app is not None else None
    except MailtideError:
        there = None
    if there is False:
        todo = "make image, then deploy with the MachineImage that it prints"
        return broken("image", image, f"The registry has no image {image}: no machine starts.", todo)
    if not _DIGEST.search(image):
        what = f"{image} is a tag: what runs changes when somebody pushes."
        return warning("image", image, what, "deploy with the digest that make image prints (…@sha256:…)")
    told = "the registry has it" if there else "whether the registry has it, it does not tell"
    return ok("image", f"It is pinned by its digest; {told}.")
