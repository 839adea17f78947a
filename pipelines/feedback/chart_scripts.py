"""What a page needs to draw its charts without the network: the libraries, and how numbers are written in Dutch."""

from __future__ import annotations

from functools import cache

import altair as alt
import vl_convert


@cache
def chart_scripts() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, of the version that Altair writes for (about 0.9 MB)."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return script.replace("</script", "<\\/script")


def dutch_locale() -> dict[str, object]:
    """How the charts write numbers and dates: decimal comma, real minus sign, Dutch months."""
    numbers = {**vl_convert.get_format_locale("nl-NL"), "minus": "\u2212"}
    return {"formatLocale": numbers, "timeFormatLocale": vl_convert.get_time_format_locale("nl-NL")}
