"""The command line: tables of options, two parsers made from them, and the commands."""
