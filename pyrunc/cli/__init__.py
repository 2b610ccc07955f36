"""The command line: tables of options, two parsers that use the tables, and the commands."""
