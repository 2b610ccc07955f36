"""The version of pyrunc."""

VERSION = "0.1.0"
