"""
The commands about dead letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.command import ACCOUNT, AS_JSON, end_with

if TYPE_CHECKING:
    from common.queue.choice import Filter
    from gateway.dead import Chosen

FILTER = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Those whose field is that; FIELD~PART: contains that. May be repeated, such as reason=rejected.",
)
SIDE = click.option("--side", type=click.Choice(["commands", "events"]), help="Towards Avito, or towards n8n; both.")


@click.group()
def dead() -> None:
    """
    Dead letters: what could not be delivered, with the reason.
    """


@dead.command("list")
@AS_JSON
@click.option("--count", default=100, show_default=True, type=click.IntRange(1), help="Newest first, so many a side.")
@FILTER
@SIDE
@ACCOUNT
def dead_list(count: int, filters: tuple[Any, ...], side: Any, user_id: str | None, *, as_json: bool) -> None:
    """
    List the newest dead letters, without their texts; --json gives one object a line.
    """
    from gateway import dead as graves  # noqa: PLC0415

    end_with(graves.show_list(side, user_id, count=count, filters=_filters(filters), as_json=as_json))


@dead.command("show")
@click.argument("dead_ids", metavar="ID...", nargs=-1, required=True)
@SIDE
@ACCOUNT
def dead_show(dead_ids: tuple[str, ...], side: Any, user_id: str | None) -> None:
    """
    Show dead letters whole, texts included, as JSON.
    """
    from gateway import dead as graves  # noqa: PLC0415

    end_with(graves.show(dead_ids, side, user_id))


@dead.command("redrive")
@click.argument("dead_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are now.")
@click.option("--rate", "rate_per_min", type=click.FloatRange(0, min_open=True), help="At most so many a minute.")
@FILTER
@AS_JSON
@SIDE
@ACCOUNT
def dead_redrive(
    dead_ids: tuple[str, ...],
    rate_per_min: float | None,
    filters: tuple[Any, ...],
    side: Any,
    user_id: str | None,
    *,
    is_all: bool,
    as_json: bool,
) -> None:
    """
    Put dead letters back into their queue.
    """
    from gateway import dead as graves  # noqa: PLC0415

    chosen = _chosen(dead_ids, filters, is_all=is_all)
    end_with(graves.redrive(chosen, side, user_id, rate_per_min=rate_per_min, as_json=as_json))


@dead.command("drop")
@click.argument("dead_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@FILTER
@AS_JSON
@SIDE
@ACCOUNT
def dead_drop(
    dead_ids: tuple[str, ...],
    filters: tuple[Any, ...],
    side: Any,
    user_id: str | None,
    *,
    is_all: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """
    Delete dead letters for good.
    """
    from gateway import dead as graves  # noqa: PLC0415

    chosen = _chosen(dead_ids, filters, is_all=is_all)
    if not dead_ids and not yes:
        click.confirm(f"Delete {'all dead letters' if is_all else 'what fits'} for good?", abort=True)
    end_with(graves.drop(chosen, side, user_id, as_json=as_json))


def _filters(texts: tuple[str, ...]) -> tuple[Filter, ...]:
    from common.queue.choice import Filter  # noqa: PLC0415

    try:
        return tuple(Filter.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--filter") from None


def _chosen(dead_ids: tuple[str, ...], filters: tuple[str, ...], *, is_all: bool) -> Chosen:
    from gateway.dead import Chosen  # noqa: PLC0415

    if bool(dead_ids) + bool(filters) + is_all != 1:
        raise click.UsageError("Name dead letters, or say --filter, or --all.")
    return Chosen(dead_ids, _filters(filters))
