"""The commands, each with what it prints into a pipe, as JSON and on a terminal."""
