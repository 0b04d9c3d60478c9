"""Tests of `gate/i18n`."""
