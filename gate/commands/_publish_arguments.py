"""Define the options of publishing, and read the settings from them."""

from __future__ import annotations

import argparse
import os

from gate.publish.session import current_settings
from gate.publish.settings import CONTEXT, MODES, Settings


def add_publish_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all options of publishing to a parser."""
    parser.add_argument(
        "--publish",
        choices=("all", "none"),
        default="all",
        help="on a runner, publish to GitHub (default: %(default)s)",
    )
    parser.add_argument(
        "--status",
        choices=("true", "false"),
        default="true",
        help="on a runner, set the commit status (default: %(default)s)",
    )
    parser.add_argument(
        "--context", default=CONTEXT, metavar="NAME", help="name the commit status (default: %(default)s)"
    )
    parser.add_argument(
        "--comment", choices=MODES, default="always", help="when to comment on the pull request (default: %(default)s)"
    )


def publish_settings_from(options: argparse.Namespace) -> Settings:
    """Return the settings for the options of a call; nothing is enabled outside of a runner."""
    enabled = options.publish != "none" and os.environ.get("GITHUB_ACTIONS") == "true"
    return current_settings(
        status=enabled and options.status != "false",
        comment=options.comment if enabled else "off",
        context=options.context,
    )
