"""Which way runs WordPress' own code: php on the site's files, or the plugin over HTTP."""

from __future__ import annotations

from celery_anp.errors import BadSetting
from worker.settings import Settings
from worker.site.wordpress.php import Php
from worker.site.wordpress.plugin import Plugin
from worker.site.wordpress.way import Way


def chosen(known: Settings) -> Way:
    """The way that the settings name: php where they name the site's files, else the plugin.

    Raises:
        BadSetting: neither the site's files nor the plugin's secret is named, or there is no php.
    """
    if known.wordpress_path is not None:
        return Php(known)
    if secret := known.wordpress_secret.get_secret_value():
        return Plugin(known.site_url, secret)
    raise BadSetting(
        "There is no way to run WordPress' code",
        expected="ANP_WORDPRESS_PATH (its files, for php), or ANP_WORDPRESS_SECRET (for the plugin anp.php)",
        given="neither",
    )
